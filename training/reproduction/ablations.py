"""The ablations of section 4.8 (Table 7, a to e) in miniature: second-stage data, constant learning rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vljepa_edge.training.reproduction.experiment import Arm, Experiment, Setting
from vljepa_edge.training.reproduction.trained import BAG_OF_WORDS, LANGUAGE_WORDS, TABLES, Trained, trained_arm
from vljepa_edge.training.reproduction.verdict import RULE, Contrast, all_of

MEASURED_ON = ("coco-val.jsonl", "flickr8k-dev.jsonl", "robot-test.jsonl")
FIGURES = {
    "classification": "top-1, the mean of the motions and the objects of drawn clips and of the tasks of robot clips, "
    "of clips and cut-outs that nothing was trained on; chance is 4",
    "retrieval": "text to photograph, R@1, the mean of COCO val and Flickr8k dev",
    "vqa": "questions with candidates, the mean of COCO val, Flickr8k dev and drawn clips of held-out cut-outs",
}
NOTES = (
    "The paper trains 490M parameters for 10,000 steps of 512 and measures 8 + 8 + 4 public sets; here it is some 8M "
    "and, where it isn't frozen, the Y-encoder's 23M, 60 steps of 128 a stage, on COCO, Flickr8k, robot clips and "
    "drawn clips. Figures don't compare, differences between arms do.",
    "X-encoder: the default's frozen streams, of appearance the 256 channels that are vision alone: the other 384 are "
    "means of MiniLM's embeddings of class names, which is the space of the targets before any training. Predictor: "
    "SmolLM2-135M's last two layers. Y-encoder: MiniLM. Run: `training/configs/miniature.yaml`.",
    "A seed draws the order of the samples, dropout and what begins at random. Clips, questions, the frozen streams "
    "and what is asked are the same for every seed. Two robot tasks have two clips of the same words: a tie, which is "
    "wrong.",
    "Nothing was chosen by these figures.",
)
VISION = (
    "model.predictor.streams=[{name: appearance, dim: 640, channels: 256, positions: [2, 10], tubelet: 4}, "
    "{name: motion, dim: 128, positions: [1, 16]}]"
)
"""The change that withholds ConSE from an arm, see NOTES."""
MEASURE_VERSION = 1  # raise it when `measured` measures something else
SCORES = ("classification", "retrieval")
ALL = (*SCORES, "vqa")


def measure(trained: Trained, setting: Setting) -> Mapping[str, float]:
    """See `measured`."""
    from vljepa_edge.training.reproduction.measured import figures

    return figures(trained, setting)


def _arm(name: str, title: str, paper: Sequence[float] = (), *changes: str, run: str = "miniature") -> Arm:
    """paper: classification, retrieval and VQA of its row."""
    return trained_arm(
        name,
        title,
        measure,
        (VISION, *changes),
        run=run,
        tables=(*TABLES, *MEASURED_ON),
        about={"version": MEASURE_VERSION},
        paper=dict(zip(ALL, paper, strict=bool(paper))),
    )


def _experiment(
    name: str, part: str, claim: str, arms: Sequence[Arm], *contrasts: Contrast, note: str = ""
) -> Experiment:
    compared = "; ".join(
        f"{one.better} above {one.worse} in {one.of()}" for one in contrasts
    )  # fmt: skip
    return Experiment(
        name, f"section 4.8, Table 7 {part}", claim, f"{compared}. {RULE}", FIGURES, tuple(arms), all_of(contrasts),
        (*NOTES, note) if note else NOTES, (*TABLES, *MEASURED_ON),
    )  # fmt: skip


def _rate(multiplier: float) -> str:
    """The change that trains the Y-encoder at that much of the learning rate."""
    return f"stages.sft.multipliers={{y_encoder.: {multiplier}, x_encoder.motion.: 0.0}}"


BASE = _arm("base", "as the miniature is", (27.3, 30.2, 42.5))

PRETRAINING = _experiment(
    "pretraining", "(a)", "Dropping the query-free first stage hurts, above all classification and retrieval.",
    (
        _arm("pretrained", "with pretraining", (49.0, 47.5, 46.1), run="miniature_pretrained"),
        _arm("longer", "without, the second stage twice as long", (), "stages.sft.steps=120"),
        BASE,
    ),
    *(Contrast("pretrained", other, (figure,)) for other in ("base", "longer") for figure in SCORES),
    note="The first stage has as many steps as the second, where the paper's has 400 times the samples. So "
    "`pretrained` has twice the steps of `base`; `longer`, which the paper doesn't have, has as many, all of the "
    "second stage.",
)  # fmt: skip

_RATES = {"1": (23.7, 28.8, 40.7), "0.1": (26.9, 30.2, 42.9), "0.01": (25.6, 27.7, 41.0), "0": (20.0, 25.9, 41.4)}
Y_ENCODER_RATE = _experiment(
    "y-encoder-rate", "(b)",
    "The Y-encoder's learning rate is best at 0.05 to 0.1 of the others'; faster or slower learning is worse.",
    (
        _arm("rate-1", "multiplier 1", _RATES["1"], _rate(1.0)),
        _arm("rate-0.1", "multiplier 0.1", _RATES["0.1"], _rate(0.1)),
        BASE,
        _arm("rate-0.01", "multiplier 0.01", _RATES["0.01"], _rate(0.01)),
        _arm("rate-0", "multiplier 0", _RATES["0"], _rate(0.0)),
    ),
    *(Contrast(best, other, ALL) for best in ("base", "rate-0.1") for other in ("rate-1", "rate-0.01", "rate-0")),
    note="`base` has the multiplier 0.05. Dropout stays on in the Y-encoder of every arm, at 0 too, where its head "
    "stays as it begins, the identity.",
)  # fmt: skip

_BARE = ("model.y_encoder.frozen=true", "model.y_encoder.head=false")
LOSSES = _experiment(
    "losses", "(c)", "InfoNCE is above cosine, L1 and L2 in classification and retrieval.",
    (
        _arm("info-nce", "InfoNCE", (23.3, 30.3, 44.3), *_BARE),
        _arm("cosine", "cosine", (16.5, 20.2, 46.6), *_BARE, "stages.sft.loss=[{kind: cosine}]"),
        _arm("l1", "L1", (14.8, 15.5, 41.9), *_BARE, "stages.sft.loss=[{kind: l1}]"),
        _arm("l2", "L2", (13.5, 11.7, 43.7), *_BARE, "stages.sft.loss=[{kind: l2}]"),
    ),
    *(Contrast("info-nce", other, SCORES) for other in ("cosine", "l1", "l2")),
    note="The Y-encoder is frozen and has no head. Of unit vectors L2 is twice the cosine loss, so under AdamW those "
    "two arms differ by little but where gradients are cut.",
)  # fmt: skip

PREDICTOR_LAYERS = _experiment(
    "predictor-layers", "(d)", "More predictor layers are better, above all for VQA.",
    (
        _arm("layers-1", "last layer (paper: layers 0-2)", (24.3, 27.8, 40.1),
             "model.language_model.layers=last 1", "model.predictor.stack.layers=1"),
        BASE,
        _arm("layers-3", "last 3 layers (paper: layers 0-16)", (27.4, 31.0, 45.5),
             "model.language_model.layers=last 3", "model.predictor.stack.layers=3"),
    ),
    Contrast("layers-3", "layers-1", ("vqa",)), Contrast("layers-3", "layers-1", ALL),
    note="`base` has the last 2 layers (paper: layers 8-16). The paper's other rows: layers 0-4 25.1, 28.9, 43.6; "
    "0-8 27.2, 29.3, 43.4.",
)  # fmt: skip

ATTENTION = _experiment(
    "attention", "(d)", "A causal mask hurts VQA: vision tokens no longer see the query.",
    (BASE, _arm("causal", "causal attention", (26.7, 31.2, 40.6), "model.predictor.causal=true")),
    Contrast("base", "causal", ("vqa",)),
)  # fmt: skip

INITIALISATION = _experiment(
    "initialisation", "(d)", "Starting from a language model helps VQA.",
    (BASE, _arm("random", "layers at random", (28.1, 30.4, 40.6), "model.language_model.layers=none")),
    Contrast("base", "random", ("vqa",)),
    note="The token embedding of the query is SmolLM2's in both.",
)  # fmt: skip

_FROZEN = ("model.y_encoder.frozen=true", _rate(1.0))
Y_ENCODERS = _experiment(
    "y-encoders", "(e)",
    "Other text encoders work as the Y-encoder, and larger ones generally better. Ours in its place, since no package "
    "carries larger ones: MiniLM is above words without an order.",
    (
        _arm("minilm", "MiniLM (paper: EmbeddingGemma-300M)", (19.5, 24.1, 42.5), *_FROZEN),
        _arm("language-words", "SmolLM2's token embeddings", (), *_FROZEN,
             f"model.y_encoder.source={LANGUAGE_WORDS}", "model.y_encoder.hidden=576"),
        _arm("bag-of-words", "a random vector a token", (), *_FROZEN, f"model.y_encoder.source={BAG_OF_WORDS}"),
    ),
    Contrast("minilm", "language-words", SCORES), Contrast("minilm", "bag-of-words", SCORES),
    note="Frozen encoders with a linear head that trains, the mean over tokens; it starts as the identity where widths "
    "are equal, and at random after SmolLM2's 576 numbers. The paper has EmbeddingGemma-300M, "
    "Qwen3-Embedding 0.6B to 8B and PE-Core B to G. Of SmolLM2's token embeddings the query is made, too, so that "
    "arm's VQA doesn't compare. The random vectors are the same with every seed.",
)  # fmt: skip
