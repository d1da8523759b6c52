"""Train the default model from nothing and write its bundle and model card: `python -m vljepa_edge.training.tiny`.

Steps, each kept in the work folder so that a run that was broken off goes on where it stopped: fetch, draw and encode
clips, motion stem, texts, stage 1 (images, then clips), stage 2, Y-decoder, export, card, INT8.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import Progress, track
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor

from vljepa_edge.bundle.store import Bundle
from vljepa_edge.errors import ExportError, VLJepaError
from vljepa_edge.export.int8.convert import Card, export_int8
from vljepa_edge.export.pytorch.checkpoint import About, Tokenizers, write_checkpoint
from vljepa_edge.nn.tiny_streams import MotionStem
from vljepa_edge.nn.vljepa import VLJepa
from vljepa_edge.nn.weights import load_llama_last_layers
from vljepa_edge.nn.y_decoder import YDecoder
from vljepa_edge.support.assets import cache_dir
from vljepa_edge.training.build import save_model
from vljepa_edge.training.precision import autocast
from vljepa_edge.training.tiny import assets, card, card_text, drawn_figures
from vljepa_edge.training.tiny import captions as say
from vljepa_edge.training.tiny.batches import Sampler, luma_to_float, wordings
from vljepa_edge.training.tiny.calibration import write_calibration
from vljepa_edge.training.tiny.checkpoint import save_tensors
from vljepa_edge.training.tiny.decoder import Corpus, new_decoder, sentences, train_decoder, word_tokenizer
from vljepa_edge.training.tiny.features import Clips
from vljepa_edge.training.tiny.licences import LICENCES
from vljepa_edge.training.tiny.model import motion_stem, new_model
from vljepa_edge.training.tiny.motion import pretrain_motion
from vljepa_edge.training.tiny.prepare import Workshop
from vljepa_edge.training.tiny.recipe import Recipe, StageRecipe, load_recipe
from vljepa_edge.training.tiny.scenes import FPS
from vljepa_edge.training.tiny.stages import train_stage

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


@torch.inference_mode()
def embed(model: VLJepa, shop: Workshop, clips: Clips, queries: list[str], rows: list[int] | None = None) -> Tensor:
    """(n, 384) of cached clips, one query each."""
    rows = list(range(len(clips))) if rows is None else rows
    out = []
    for start in range(0, len(rows), 100):
        part = rows[start : start + 100]
        query, mask = shop.queries.batch(queries[start : start + 100])
        kept = {
            "appearance": torch.from_numpy(clips.appearance[part]).float(),
            "luma": luma_to_float(clips.luma[part]),
        }
        with autocast():
            out.append(model.predict(kept, query, mask).float())
    return torch.cat(out)


@torch.inference_mode()
def quick_figures(model: VLJepa, shop: Workshop) -> dict[str, dict[str, float]]:
    """The card's figures from cached features in PyTorch: what training watches. The card is measured on the bundle."""

    def text(texts: object) -> np.ndarray:
        shop.sentences.add(texts, keep=False)  # type: ignore[arg-type]
        return model.encode_text(shop.sentences(texts)).numpy()  # type: ignore[arg-type]

    out = {}
    for split, names in (("seen", shop.seen_names), ("held", shop.held_names)):
        clips, asked = shop.test(split), shop.test(split + "_asked")
        z = embed(model, shop, clips, [say.CAPTION_QUERIES[0]] * len(clips)).numpy()
        figures = drawn_figures.judge_captions(z, clips.scenes, names, text)
        for kind in drawn_figures.ANSWERS:
            questions = drawn_figures.draw_questions(asked.scenes, kind, names, seed=0)
            answers = embed(model, shop, asked, [q.text for _, q in questions], [i for i, _ in questions]).numpy()
            figures[f"answers_{kind}"] = drawn_figures.judge_answers(questions, answers, kind, text)
        out[split] = figures
    return out


def begin(recipe: Recipe, folder: Path) -> tuple[VLJepa, Workshop, Log]:
    """Everything up to stage 1: frozen parts, what is fitted to the data, clips, the motion stem."""
    torch.manual_seed(recipe.seed)
    shop = Workshop(recipe, folder)
    log = Log(folder)
    log(f"{len(shop.seen_names)} objects trained on, {len(shop.held_names)} held out")
    clips, photos = shop.train, shop.photos
    for split in ("seen", "held", "seen_asked", "held_asked"):
        shop.test(split)
    log(f"{len(clips)} clips and {len(photos or [])} photo crops encoded")
    model = new_model(recipe, shop.sentence_encoder.model, shop.appearance_stream)
    _pretrain_motion(motion_stem(model), shop, log)
    if recipe.predictor.body == "smollm2":
        _start_from_smollm2(model, recipe)
    return model, shop, log


def train(recipe: Recipe, folder: Path) -> tuple[VLJepa, Workshop, Log]:
    """Everything up to the Y-decoder."""
    model, shop, log = begin(recipe, folder)
    shop.embed_wordings()
    log(f"{len(shop.sentences.index)} texts embedded")
    for number, (name, stage) in enumerate((("images", recipe.images), ("clips", recipe.clips), ("sft", recipe.sft))):
        if stage.steps:
            measured = (shop.folder / f"{name}.safetensors").exists()  # by the run that finished the stage
            _run_stage(model, shop, name, stage, recipe.seed * 10 + number, log)
            if not measured:
                log(json.dumps(quick_figures(model, shop)))
    model.trust_concepts(recipe.predictor.concept_trust)
    if not (shop.folder / "decoder.safetensors").exists():  # else it is in the log of an earlier run
        log(f"finished, trusting concepts: {json.dumps(quick_figures(model, shop))}")
    return model, shop, log


def _run_stage(model: VLJepa, shop: Workshop, name: str, stage: StageRecipe, seed: int, log: Log) -> None:
    sampler = Sampler(
        shop.train, shop.photos, stage, shop.concepts, shop.sentences, shop.queries, shop.seen_names, seed
    )
    train_stage(model, sampler, stage, name, shop.folder, log)


def _pretrain_motion(stem: MotionStem, shop: Workshop, log: Log) -> None:
    file = shop.folder / "motion_stem.safetensors"
    if not file.exists():
        luma, scenes = shop.motion_clips
        clips = shop.train
        held = shop.test("held_asked")
        both = np.concatenate([luma, clips.luma])
        motions, counts = pretrain_motion(
            stem, both, [*scenes, *clips.scenes], (held.luma, held.scenes), shop.recipe.motion, shop.recipe.seed
        )
        save_tensors(stem.state_dict(), file)
        log(
            f"motion stem alone, held-out clips: {100 * motions:.1f} % of motions (of {len(say.MOTIONS)}), "
            f"{100 * counts:.1f} % of counts"
        )
    stem.load_state_dict(load_file(file))


def _start_from_smollm2(model: VLJepa, recipe: Recipe) -> None:
    """Replace the predictor's random layers with the last ones of SmolLM2-135M."""
    stack, _, _ = load_llama_last_layers(
        str(assets.smollm2_gguf()), recipe.predictor.layers, max_positions=model.predictor.config.stack.max_positions
    )
    model.predictor.stack.load_state_dict(stack.state_dict())


@torch.inference_mode()
def renamed_clips(model: VLJepa, shop: Workshop) -> tuple[Tensor, list[str]]:
    """Embeddings (n, 384) of training clips, most with another word's concept in the object's place, and their
    captions: else the decoder would take whatever the predictor points at for one of the objects that clips show."""
    recipe = shop.recipe
    stage = dataclasses.replace(recipe.clips, rename_share=1.0, question_share=0.0)
    sampler = Sampler(
        shop.train, shop.photos, stage, shop.concepts, shop.sentences, shop.queries, shop.seen_names, recipe.seed
    )
    query, mask = shop.queries.batch([say.CAPTION_QUERIES[0]] * stage.batch)
    made, texts = [], []
    for _ in track(range(-(-recipe.decoder.renamed // stage.batch)), "embedding renamed clips"):
        batch = sampler.batch()
        with autocast():
            kept = {"appearance": batch.appearance, "luma": batch.luma}
            made.append(model.predict(kept, query, mask).float())
        texts += batch.texts
    return torch.cat(made), texts


def train_text_out(model: VLJepa, shop: Workshop, log: Log) -> tuple[YDecoder, Tokenizer]:
    """The Y-decoder and its tokenizer, trained on the finished model's embeddings."""
    recipe, clips = shop.recipe.decoder, shop.train
    renamed, of_others = renamed_clips(model, shop)
    texts = sorted(
        {*sentences(shop.seen_names, shop.recipe.seed), *of_others, *(t for s in clips.scenes for t in wordings(s))}
    )
    tokenizer = word_tokenizer(texts)
    decoder, file = new_decoder(tokenizer.get_vocab_size(), recipe), shop.folder / "decoder.safetensors"
    if file.exists():
        decoder.load_state_dict(load_file(file))
        return decoder.eval(), tokenizer
    corpus = Corpus(texts, tokenizer, shop.sentences)
    predicted = torch.cat([embed(model, shop, clips, [say.CAPTION_QUERIES[0]] * len(clips)), renamed])
    said = [[corpus.where[t] for t in wordings(s)] for s in clips.scenes] + [[corpus.where[t]] for t in of_others]
    part = file.with_name("decoder.part.safetensors")
    train_decoder(decoder, model, corpus, predicted, said, recipe, shop.recipe.seed, part)
    save_tensors(decoder.state_dict(), file)
    part.unlink(missing_ok=True)
    log(f"Y-decoder trained on {len(texts)} sentences")
    return decoder, tokenizer


def export(
    model: VLJepa, decoder: YDecoder, tokenizer: Tokenizer, shop: Workshop, out: Path, figures: dict[str, Any] | None
) -> Path:
    """Write the bundle at `out`; `figures` of its card, once they are measured."""
    provenance = {
        "command": "make tiny", "recipe": dataclasses.asdict(shop.recipe),
        "packages": [
            {"name": a.name, "version": a.version, "sha256": a.sha256, "licence": a.licence} for a in assets.ASSETS
        ],
    }  # fmt: skip
    model.attach_y_decoder(decoder)
    markdown = card_text.markdown(figures) if figures else ""
    about = About(shop.recipe.name, LICENCES, provenance, figures or {}, markdown)
    return write_checkpoint(model, tokenizers(tokenizer), out, about, lambda *_: None, fps=FPS)


def save(model: VLJepa, decoder: YDecoder, tokenizer: Tokenizer, shop: Workshop) -> Path:
    """The model as a checkpoint with its tokenizers, which `vljepa export` reads, in the work folder."""
    model.attach_y_decoder(decoder)
    return save_model(model, tokenizers(tokenizer), shop.folder / "checkpoint", include_frozen=True)


def write_start(recipe: Recipe, folder: Path, out: Path) -> Path:
    """What `vljepa train tiny` starts from: a checkpoint of what `begin` gives, with a fresh Y-decoder."""
    model, shop, log = begin(recipe, folder)
    said = {*sentences(shop.seen_names, recipe.seed), *(t for s in shop.train.scenes for t in wordings(s))}
    tokenizer = word_tokenizer(sorted(said))
    model.attach_y_decoder(new_decoder(tokenizer.get_vocab_size(), recipe.decoder))
    log(f"start written to {save_model(model, tokenizers(tokenizer), out, include_frozen=True)}")
    return out


def tokenizers(decoder: Tokenizer) -> Tokenizers:
    """The bundle's: MiniLM's for queries and targets."""
    sentences = _unpadded(assets.minilm_dir() / "tokenizer.json")
    return Tokenizers(sentences, sentences, decoder)


def quantise(floating: Path, shop: Workshop, out: Path, log: Log) -> bool:
    """Write the INT8 form of a bundle, judged by its card too; False, and nothing written, when it loses too much."""
    clips = write_calibration(shop.folder / "calibration", shop.painter(test=False), shop.seen_names)

    def measure(bundle: Path) -> Card:
        figures = card.evaluate(bundle)
        return Card(figures, card_text.markdown(figures))

    try:
        with Progress() as bar:
            tasks: dict[str, Any] = {}

            def on_step(what: str, done: int, total: int) -> None:
                if what not in tasks:
                    tasks[what] = bar.add_task(what, total=total)
                bar.update(tasks[what], completed=done, total=total)

            report = export_int8(Bundle.open(floating), clips, out, measure=measure, force=False, on_step=on_step)
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
    parser.add_argument("--out", type=Path, help="bundle folder to write (default: in the work folder)")
    parser.add_argument("--int8", action=argparse.BooleanOptionalAction, default=True,
                        help="INT8 where the gate allows it, else 16 bits (default); without it, 16 bits")  # fmt: skip
    parser.add_argument("--start", type=Path, metavar="FOLDER",
                        help="write what `vljepa train tiny` starts from, and stop there")  # fmt: skip
    arguments = parser.parse_args()
    try:
        recipe = load_recipe(arguments.recipe)
        if arguments.seed is not None:
            recipe = dataclasses.replace(recipe, seed=arguments.seed)
        folder = arguments.work or cache_dir() / "runs" / f"{recipe.name}-{recipe.seed}"
        if arguments.start is not None:
            write_start(recipe, folder, arguments.start)
            return
        make(recipe, folder, arguments.out or folder / "bundle", int8=arguments.int8)
    except VLJepaError as error:
        sys.exit(f"error: {error}")


def make(recipe: Recipe, folder: Path, out: Path, *, int8: bool = True) -> None:
    """Everything, from nothing or from where a run in `folder` stopped, to the bundle at `out`: with `int8`, at 8 bits
    if that costs nothing that the gate notices, else at 16."""
    model, shop, log = train(recipe, folder)
    decoder, tokenizer = train_text_out(model, shop, log)
    log(f"checkpoint written to {save(model, decoder, tokenizer, shop)}")
    floating = folder / "bundle-fp16"
    export(model, decoder, tokenizer, shop, floating, None)
    log(f"bundle in 16 bits written to {floating}; measuring its card")
    figures = card.evaluate(floating)
    export(model, decoder, tokenizer, shop, floating, figures)
    log(json.dumps({split: figures[split] for split in ("seen", "held")}))
    if not (int8 and quantise(floating, shop, out, log)):
        export(model, decoder, tokenizer, shop, out, figures)
        log(f"bundle in 16 bits written to {out}" + " too: INT8 loses more than the gate allows" * int8)


if __name__ == "__main__":
    main()
