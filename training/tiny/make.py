"""Train the default model from nothing and write its bundle and model card: `python -m vljepa_edge.training.tiny`.

Steps, each kept in the work folder so that a run that was broken off goes on where it stopped: fetch, draw and encode
clips, the motion stem, the general trainer's run (photographs, clips, questions, Y-decoder), export, card, INT8.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import Progress
from safetensors.torch import load_file
from tokenizers import Tokenizer

from vljepa_edge.bundle.store import Bundle
from vljepa_edge.bundle.write import CARD, parts_of, write_bundle
from vljepa_edge.errors import ExportError, VLJepaError
from vljepa_edge.export.int8.convert import export_int8
from vljepa_edge.export.pipeline import tokenizers_of
from vljepa_edge.export.pytorch.checkpoint import About, Tokenizers, write_checkpoint
from vljepa_edge.nn.tiny_streams import MotionStem
from vljepa_edge.nn.vljepa import VLJepa
from vljepa_edge.nn.weights import load_llama_last_layers
from vljepa_edge.support.atomic import replacing
from vljepa_edge.support.cache import cache_dir
from vljepa_edge.training.build import save_model
from vljepa_edge.training.calibrate import SENTENCES, calibrate
from vljepa_edge.training.config import RunConfig, load_run
from vljepa_edge.training.data.sources import open_source
from vljepa_edge.training.everyday.digest import table_digest
from vljepa_edge.training.everyday.examples import has_enough
from vljepa_edge.training.everyday.fetch import default_folder, tables_for
from vljepa_edge.training.everyday.general import general_sentences
from vljepa_edge.training.everyday.sets import SETS
from vljepa_edge.training.loop import train
from vljepa_edge.training.run_folder import LATEST
from vljepa_edge.training.tiny import assets, card, card_text
from vljepa_edge.training.tiny import captions as say
from vljepa_edge.training.tiny.calibration import write_calibration
from vljepa_edge.training.tiny.decoder import new_decoder, sentences, word_tokenizer
from vljepa_edge.training.tiny.features import save_tensors
from vljepa_edge.training.tiny.licences import licences
from vljepa_edge.training.tiny.model import motion_stem, new_model
from vljepa_edge.training.tiny.motion import pretrain_motion
from vljepa_edge.training.tiny.prepare import FEATURES, TRAIN_SEED, Workshop
from vljepa_edge.training.tiny.recipe import Recipe, load_recipe
from vljepa_edge.training.tiny.scenes import FPS

START, CONCEPTS, CORPUS = "start", "concepts.safetensors", "corpus.txt"
"""In the work folder: what the run starts from."""
CONFIDENCE = {"flickr8k": ("flickr8k-dev", "flickr8k-train"), "coco": ("coco-dev", "coco-train")}
"""By a set that the run trains on, the first that there is: photographs that nothing was trained on, to which is fitted
how sure the model may be, and those whose captions give the general sentences to fall back on."""
PRECISION = 0.8
"""Of the texts shown of such photographs: more than the 0.75 that a stream should have, since a video is harder."""
RECIPES = Path(__file__).parent / "recipes"


class Log:
    """What a run reports, with the minutes since it began; kept beside its results."""

    def __init__(self, folder: Path) -> None:
        self.file, self.start = folder / "log.txt", time.monotonic()

    def __call__(self, text: str) -> None:
        line = f"{(time.monotonic() - self.start) / 60:6.1f} min  {text}"
        print(line, flush=True)
        with self.file.open("a") as file:
            file.write(line + "\n")


def begin(shop: Workshop, log: Callable[[str], None]) -> VLJepa:
    """The model before its run: frozen parts, what is fitted to the drawn clips, the motion stem."""
    recipe = shop.recipe
    torch.manual_seed(recipe.seed)
    log(f"{len(shop.seen_names)} objects trained on, {len(shop.held_names)} held out")
    model = new_model(recipe, shop.sentence_encoder.model, shop.appearance_stream)
    _pretrain_motion(motion_stem(model), shop, log)
    if recipe.predictor.body == "smollm2":
        most = model.predictor.config.stack.max_positions
        stack, _, _ = load_llama_last_layers(
            str(assets.smollm2_gguf()), recipe.predictor.layers, max_positions=most
        )
        model.predictor.stack.load_state_dict(stack.state_dict())
    return model


def _pretrain_motion(stem: MotionStem, shop: Workshop, log: Callable[[str], None]) -> None:
    file = shop.folder / "motion_stem.safetensors"
    if not file.exists():
        luma, scenes = shop.motion_luma()
        of_run, shown = shop.train_luma()
        log(f"{len(of_run)} clips encoded, {len(luma)} more drawn for the motion stem")
        motions, counts = pretrain_motion(
            stem, np.concatenate([luma, of_run]), [*scenes, *shown], shop.held_luma(), shop.recipe.motion,
            shop.recipe.seed,
        )  # fmt: skip
        save_tensors(stem.state_dict(), file)
        log(
            f"motion stem alone, held-out clips: {100 * motions:.1f} % of motions (of {len(say.MOTIONS)}), "
            f"{100 * counts:.1f} % of counts"
        )
    stem.load_state_dict(load_file(file))


def write_start(shop: Workshop, data: Mapping[str, Mapping[str, Any]], out: Path, log: Log) -> Path:
    """What the run starts from: a checkpoint with a fresh Y-decoder, the concepts to rename to, and wide texts.

    data: the run's sources, whose texts the Y-decoder must have words for.
    """
    if (out / "model.safetensors").exists():
        return out
    model = begin(shop, log)
    out.mkdir(parents=True, exist_ok=True)
    shop.concepts.save(out / CONCEPTS)
    wide = sentences(shop.seen_names, shop.recipe.seed, shop.recipe.decoder.wide)
    with replacing(out / CORPUS) as part:
        part.write_text("\n".join(wide) + "\n", encoding="utf-8")
    texts = {*wide, *(text for word in shop.concepts.names for text in say.object_captions(word))}
    for spec in data.values():
        source = open_source(spec)
        texts.update(source[index].target.strip() for index in range(len(source)))
    tokenizer = word_tokenizer(sorted(texts))
    model.attach_y_decoder(new_decoder(tokenizer.get_vocab_size(), shop.recipe.decoder))
    save_model(model, tokenizers(tokenizer), out, include_frozen=True)
    log(f"start written to {out}: {len(texts)} texts of {tokenizer.get_vocab_size()} words")
    return out


def run_of(recipe: Recipe, folder: Path, tables: Path) -> RunConfig:
    """The general trainer's run, with its files in the work folder. tables: the folder that `vljepa data fetch
    everyday` filled; sources whose table is not there are left out."""
    start = folder / START
    whole = load_run(recipe.run, recipe.changes)
    changes = [f"name={recipe.name}", f"seed={recipe.seed}", f"init={start}", f"out={folder / 'run'}",
               f"features={folder / FEATURES}"]  # fmt: skip
    for name, spec in whole.data.items():
        if (found := _table(spec, f"data.{name}")) is not None:
            key, there = found[0], tables / found[1].name
            changes.append(f"{key}={there}" if there.is_file() else f"data.{name}=null")
        if "count" in spec:
            changes.append(f"data.{name}.count={recipe.data.train_clips}")
            changes.append(f"data.{name}.seed={1000 * recipe.seed + TRAIN_SEED}")
        if "concepts" in spec:
            changes.append(f"data.{name}.concepts={start / CONCEPTS}")
    if whole.decoder is not None:
        corpus = [str(start / CORPUS) if name.endswith(f"/{CORPUS}") else name for name in whole.decoder.corpus]
        changes.append(f"decoder.corpus={json.dumps(corpus)}")
    return load_run(recipe.run, [*recipe.changes, *changes])


def export(model: VLJepa, texts: Tokenizers, run: RunConfig, recipe: Recipe, out: Path) -> Path:
    """Write the bundle at `out`, in 16 bits, without a card."""
    provenance = {
        "command": "make tiny", "recipe": recipe.model_dump(),
        "run": load_run(recipe.run, recipe.changes).model_dump(mode="json"), "data": tables_of(run),
        "packages": [
            {"name": a.name, "version": a.version, "sha256": a.sha256, "licence": a.licence} for a in assets.ASSETS
        ],
    }  # fmt: skip
    about = About(recipe.name, licences(sets_of(run)), provenance)
    return write_checkpoint(model, texts, out, about, lambda *_: None, fps=FPS)


def finish(bundle: Path, recipe: Recipe, sets: Sequence[str], tables: Path, log: Log) -> None:
    """Fit how sure the bundle may be, measure its card, and write both into it. sets: those that it was trained on."""
    pairs = [[tables / f"{name}.jsonl" for name in pair] for one, pair in CONFIDENCE.items() if one in sets]
    held, trained = next((pair for pair in pairs if pair[0].is_file() and has_enough(pair[0])), (None, None))
    if held is not None and trained is not None:
        general = [text for text, _ in general_sentences(trained)[:SENTENCES]]
        picture = bundle.with_suffix(".reliability.png")
        fitted = calibrate(bundle, held, general=general, wanted_precision=PRECISION, picture=picture)
        log(f"shown from {fitted.min_confidence:.2f} on: {fitted.shown:.0%} of texts, {fitted.precision:.0%} right")
    else:
        log("too few photographs with several captions to fit it to: the bundle doesn't say how sure it is")
    figures = card.evaluate(bundle, recipe.data.card_clips, data=tables)
    manifest, files = parts_of(Bundle.open(bundle))
    files[CARD] = card_text.markdown(figures).encode()
    write_bundle(bundle, {**manifest, "figures": figures}, files)
    log(json.dumps({name: found for name, found in figures.items() if name in ("everyday", "seen", "held")}))


def tables_of(run: RunConfig) -> list[dict[str, Any]]:
    """The tables that a run trains on: name, rows and SHA-256 of the texts in their order, without folders."""
    return [{"table": table.stem, **table_digest(table)._asdict()} for table in _tables(run)]


def sets_of(run: RunConfig) -> list[str]:
    """The data sets of photographs and clips that a run trains on."""
    tables = {table.stem for table in _tables(run)}
    return [one.name for one in SETS.values() if tables & set(one.tables)]


def _tables(run: RunConfig) -> list[Path]:
    """The tables of a run's sources, each once."""
    found = [_table(spec, name) for name, spec in run.data.items()]
    return list(dict.fromkeys(one[1] for one in found if one is not None))


def _table(spec: Mapping[str, Any], key: str) -> tuple[str, Path] | None:
    """The key and the path of the table that a source reads, through sources that wrap others. key: of the source."""
    if "path" in spec:
        return f"{key}.path", Path(spec["path"])
    return _table(spec["of"], f"{key}.of") if "of" in spec else None


def tokenizers(decoder: Tokenizer) -> Tokenizers:
    """The bundle's: MiniLM's for queries and targets."""
    sentences = _unpadded(assets.minilm_dir() / "tokenizer.json")
    return Tokenizers(sentences, sentences, decoder)


def quantise(floating: Path, shop: Workshop, out: Path, log: Log) -> bool:
    """Write the INT8 form of a bundle, judged by its embeddings; False, and nothing written, when it loses too much."""
    clips = write_calibration(shop.folder / "calibration", shop.painter(test=False), shop.seen_names)
    try:
        with Progress() as bar:
            tasks: dict[str, Any] = {}

            def on_step(what: str, done: int, total: int) -> None:
                if what not in tasks:
                    tasks[what] = bar.add_task(what, total=total)
                bar.update(tasks[what], completed=done, total=total)

            report = export_int8(Bundle.open(floating), clips, out, measure=None, force=False, on_step=on_step)
    except ExportError as error:
        if error.report is None:  # it wasn't judged
            raise
        for line in error.report.lines():
            log(line)
        return False
    for line in report.lines():
        log(line)
    return True


def _unpadded(file: Path) -> Tokenizer:
    """A tokenizer that leaves padding and truncation to its caller; MiniLM's file pads every text to 128."""
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, default=RECIPES / "tiny.yaml", help="a YAML file (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="in place of the recipe's; the work folder is named after it")
    parser.add_argument("--work", type=Path, help="work folder (default: the cache folder)")
    parser.add_argument("--data", type=Path, help="folder of `vljepa data fetch everyday` (default: that in the cache)")
    parser.add_argument("--out", type=Path, help="bundle folder to write (default: in the work folder)")
    parser.add_argument("--int8", action=argparse.BooleanOptionalAction, default=True,
                        help="INT8 where the gate allows it, else 16 bits (default); without it, 16 bits")  # fmt: skip
    parser.add_argument("--start", type=Path, metavar="FOLDER",
                        help="write what `vljepa train tiny` starts from, and stop there")  # fmt: skip
    arguments = parser.parse_args()
    try:
        recipe = load_recipe(arguments.recipe)
        if arguments.seed is not None:
            recipe = recipe.model_copy(update={"seed": arguments.seed})
        folder = arguments.work or cache_dir() / "runs" / f"{recipe.name}-{recipe.seed}"
        tables = arguments.data
        if tables is None:
            tables = default_folder()
            for line in tables_for("tiny", tables).missing:
                print(line, flush=True)
        if arguments.start is not None:
            write_start(Workshop(recipe, folder), run_of(recipe, folder, tables).data, arguments.start, Log(folder))
            return
        make(recipe, folder, arguments.out or folder / "bundle", tables, int8=arguments.int8)
    except VLJepaError as error:
        sys.exit(f"error: {error}")


def make(recipe: Recipe, folder: Path, out: Path, tables: Path, *, int8: bool = True) -> None:
    """Everything, from nothing or from where a run in `folder` stopped, to the bundle at `out`: with `int8`, at 8 bits
    if that costs nothing that the gate notices, else at 16."""
    shop = Workshop(recipe, folder)
    log = Log(folder)
    run = run_of(recipe, folder, tables)
    log(f"data: {', '.join(run.data)}")
    write_start(shop, run.data, folder / START, log)
    if not (folder / "trained").exists():
        report = train(run, "latest" if (run.folder / LATEST).exists() else None)
        if report.model is None:
            sys.exit(f"stopped by signal {report.stopped_by}; the same command goes on from there")
        (folder / "trained").touch()
        log(f"trained: {report.lines()[0]}")
    model = VLJepa.from_pretrained(run.folder / "model")
    texts = tokenizers_of(model.config, run.folder / "model", {})
    floating = folder / "bundle-fp16"
    export(model, texts, run, recipe, floating)
    log(f"bundle in 16 bits written to {floating}")
    if not (int8 and quantise(floating, shop, out, log)):
        export(model, texts, run, recipe, out)
        log(f"bundle in 16 bits written to {out}" + " too: INT8 loses more than the gate allows" * int8)
    finish(out, recipe, sets_of(run), tables, log)


if __name__ == "__main__":
    main()
