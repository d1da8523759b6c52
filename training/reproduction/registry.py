"""The experiments by name. A module is imported when its experiments are asked for.

To add one: a module of this package with an `Experiment`, and its line here.
"""

from __future__ import annotations

import importlib
from types import MappingProxyType

from vljepa_edge.errors import InputError
from vljepa_edge.training.reproduction.experiment import Experiment

_EXPERIMENTS: MappingProxyType[str, str] = MappingProxyType(
    {
        "pretraining": "ablations:PRETRAINING",
        "y-encoder-rate": "ablations:Y_ENCODER_RATE",
        "losses": "ablations:LOSSES",
        "predictor-layers": "ablations:PREDICTOR_LAYERS",
        "attention": "ablations:ATTENTION",
        "initialisation": "ablations:INITIALISATION",
        "y-encoders": "ablations:Y_ENCODERS",
        "counting": "counting:COUNTING",
        "hallucination": "hallucination:HALLUCINATION",
        "world": "world:WORLD",
        "anticipation": "anticipation:ANTICIPATION",
        "token-prediction": "token_prediction:TOKEN_PREDICTION",
        "latency": "latency:LATENCY",
    }
)
"""By name `module:NAME`, where it is defined."""


def names() -> list[str]:
    """Every experiment's."""
    return list(_EXPERIMENTS)


def experiment_of(name: str) -> Experiment:
    """The experiment of a name. Raises InputError for an unknown one."""
    place = _EXPERIMENTS.get(name)
    if place is None:
        raise InputError(f"an experiment must be one of {', '.join(_EXPERIMENTS)}, got {name!r}")
    module, _, attribute = place.partition(":")
    found = getattr(importlib.import_module(f"vljepa_edge.training.reproduction.{module}"), attribute)
    assert isinstance(found, Experiment)
    return found
