"""`vljepa train`: a run by its file, or a bundle fine-tuned on a user's own clips. Needs the training extra."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Annotated

import typer

from vljepa_edge.cli.options import Debug, Json
from vljepa_edge.cli.output import console, print_json, step_bars, video_warnings
from vljepa_edge.cli.root import print_error
from vljepa_edge.errors import InputError
from vljepa_edge.support.install import require

RUN_MODULES = ("torch", "transformers", "yaml", "matplotlib", "pyarrow")
MODULES = ("torch", "onnx", "pyarrow")


def train(
    run: Annotated[
        str | None, typer.Argument(metavar="RUN.yaml", help="A run: a YAML file, or the name of one that ships.")
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Over the file: stages.sft.lr=1e-4", show_default=False),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what the run costs, and what every value is; train nothing.")
    ] = False,
    devices: Annotated[int, typer.Option("--devices", min=1, metavar="N", help="Of a dry run.")] = 1,
    resume: Annotated[
        str | None,
        typer.Option("--resume", metavar="CHECKPOINT", help="latest, best, or a checkpoint file of the run."),
    ] = None,
    init: Annotated[
        str | None, typer.Option("--init", metavar="BUNDLE", help="To fine-tune: tiny, or the path of any bundle.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="DATA", help="To fine-tune: a CSV, JSONL or Parquet file, or any other data."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="BUNDLE", help="To fine-tune: a folder, or a .vljepa file.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, metavar="N", help="To fine-tune: of the order of clips.")] = 0,
    steps: Annotated[
        int,
        typer.Option("--steps", min=1, metavar="N", help="To fine-tune: at most; it ends where it gets no better."),
    ] = 300,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Train a model by a run's file, under torchrun too; or fine-tune a bundle on your own clips.

    A run that was interrupted goes on with --resume latest, and ends with the same bits. Fine-tuning says how good the
    bundle is on a tenth of your videos, which nothing is learned from, before and after.

    \b
    Examples:
      vljepa train run.yaml
      vljepa train run.yaml stages.sft.lr=2e-5 --resume latest
      torchrun --nproc-per-node 8 -m vljepa_edge train run.yaml parallel.mode=fsdp2
      vljepa train paper_v2 --dry-run --devices 192
      vljepa train --init tiny --data my_clips.csv --out mine.vljepa
    """
    if run is None:
        if init is None or data is None or out is None:
            raise InputError("give a run's file, or --init, --data and --out to fine-tune a bundle")
        if dry_run or resume is not None:
            raise InputError("--dry-run and --resume are of a run's file, not of fine-tuning")
        _fine_tune(init, data, out, seed, steps, as_json)
        return
    if (init, data, out) != (None, None, None):
        raise InputError("--init, --data and --out are of fine-tuning; a run's file has init, data and out in it")
    if dry_run:
        _plan(run, changes or [], devices, as_json)
    else:
        _train(run, changes or [], resume, as_json)


def _train(run: str, changes: list[str], resume: str | None, as_json: bool) -> None:
    require(RUN_MODULES, "train")
    from vljepa_edge.training.config import load_run
    from vljepa_edge.training.loop import train as train_run

    report = train_run(load_run(run, changes), resume)
    if int(os.environ.get("RANK", 0)) == 0:
        if as_json:
            print_json(report.to_dict() | video_warnings())
        else:
            for line in report.lines():
                console().print(line)
    if report.stopped_by is not None:
        raise typer.Exit(128 + report.stopped_by)


def _plan(run: str, changes: list[str], devices: int, as_json: bool) -> None:
    require(RUN_MODULES, "train")
    import torch

    from vljepa_edge.training.budget import device_peak, lines, plan
    from vljepa_edge.training.config import load_run

    config = load_run(run, changes)
    device = torch.device("cuda" if torch.cuda.is_available() and config.device != "cpu" else "cpu")
    peak = device_peak(config, device, config.parallel.bf16)
    if peak is None:
        raise InputError(f"peak must be given for {torch.cuda.get_device_name(device)}: TFLOP/s of one device, in bf16")
    parts, costs = plan(config, devices, peak)
    if as_json:
        found = {
            "parts": [dataclasses.asdict(part) for part in parts],
            "stages": [dataclasses.asdict(c) for c in costs],
        }
        print_json(found | {"run": config.model_dump(mode="json"), "devices": devices, "peak_flops": peak})
        return
    print(config.to_yaml())
    for line in lines(parts, costs, devices, peak):
        print(line)


def _fine_tune(init: str, data: str, out: Path, seed: int, steps: int, as_json: bool) -> None:
    require(MODULES, "train")
    from vljepa_edge.training.data.sources import open_source
    from vljepa_edge.training.finetune import fine_tune

    with step_bars() as on_step:
        report = fine_tune(init, open_source(data), out, seed=seed, steps=steps, on_step=on_step)
    if as_json:
        print_json(report.to_dict() | video_warnings())
    else:
        for line in report.lines():
            console().print(line)
    for problem in report.problems:
        print_error(f"{problem} (written all the same)")
    if not as_json:
        console().print(f"written to {out}")
