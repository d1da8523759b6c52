"""Fine-tuning: a bundle's own graphs, trained on a user's clips."""

from vljepa_edge.training.finetune.fit import Recipe
from vljepa_edge.training.finetune.report import Figure, FineTuneReport
from vljepa_edge.training.finetune.tune import DEFAULT, STEPS, fine_tune

__all__ = ["DEFAULT", "STEPS", "Figure", "FineTuneReport", "Recipe", "fine_tune"]
