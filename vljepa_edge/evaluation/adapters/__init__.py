"""One benchmark a file: from its published layout to items. Here are all of them by name."""

from __future__ import annotations

from vljepa_edge.errors import InputError
from vljepa_edge.evaluation.adapters.activitynet import ACTIVITYNET
from vljepa_edge.evaluation.adapters.clevr import CLEVR
from vljepa_edge.evaluation.adapters.coin import COIN_STEPS, COIN_TASKS
from vljepa_edge.evaluation.adapters.coin_next import COIN_NEXT
from vljepa_edge.evaluation.adapters.crosstask import CROSSTASK_STEPS, CROSSTASK_TASKS
from vljepa_edge.evaluation.adapters.didemo import DIDEMO
from vljepa_edge.evaluation.adapters.dream1k import DREAM_1K
from vljepa_edge.evaluation.adapters.egoexo4d import EGOEXO4D
from vljepa_edge.evaluation.adapters.epic_anticipation import EPIC_ANTICIPATION
from vljepa_edge.evaluation.adapters.epic_kitchens import EPIC_KITCHENS_100
from vljepa_edge.evaluation.adapters.gqa import GQA
from vljepa_edge.evaluation.adapters.kinetics400 import KINETICS_400
from vljepa_edge.evaluation.adapters.msrvtt import MSRVTT, MSRVTT_FULL
from vljepa_edge.evaluation.adapters.msvd import MSVD
from vljepa_edge.evaluation.adapters.own_table import CAPTIONING, CLASSIFICATION, QUESTIONS, RETRIEVAL
from vljepa_edge.evaluation.adapters.pope import POPE
from vljepa_edge.evaluation.adapters.popev2 import POPEV2
from vljepa_edge.evaluation.adapters.pvd_bench import PVD_BENCH
from vljepa_edge.evaluation.adapters.ssv2 import SSV2
from vljepa_edge.evaluation.adapters.sugarcrepe_pp import SUGARCREPE_PP
from vljepa_edge.evaluation.adapters.tallyqa import TALLYQA
from vljepa_edge.evaluation.adapters.vdc import VDC
from vljepa_edge.evaluation.adapters.visla import VISLA
from vljepa_edge.evaluation.adapters.worldprediction import WORLDPREDICTION_WM
from vljepa_edge.evaluation.adapters.youcook2 import YOUCOOK2
from vljepa_edge.evaluation.benchmark import Benchmark

_ALL = (
    *(SSV2, EPIC_KITCHENS_100, EGOEXO4D, KINETICS_400, COIN_STEPS, COIN_TASKS, CROSSTASK_STEPS, CROSSTASK_TASKS),
    *(MSRVTT, MSRVTT_FULL, ACTIVITYNET, DIDEMO, MSVD, YOUCOOK2, PVD_BENCH, DREAM_1K, VDC),
    *(GQA, TALLYQA, POPE, POPEV2, CLEVR),
    *(WORLDPREDICTION_WM, EPIC_ANTICIPATION, COIN_NEXT),
    *(SUGARCREPE_PP, VISLA),
    *(CLASSIFICATION, RETRIEVAL, QUESTIONS, CAPTIONING),
)
BENCHMARKS: dict[str, Benchmark] = {one.name: one for one in _ALL}


def benchmark_of(name: str) -> Benchmark:
    """The benchmark of this name. Raises InputError, naming all."""
    if name not in BENCHMARKS:
        raise InputError(f"a benchmark must be one of {', '.join(BENCHMARKS)}, got {name!r}")
    return BENCHMARKS[name]
