"""`vljepa ask`: a question about a video or photo."""

from __future__ import annotations

from typing import Annotated

import typer

from vljepa_edge.cli.classify import read_names
from vljepa_edge.cli.options import (
    Debug,
    EngineName,
    Json,
    MinConfidence,
    ModelPath,
    Precision,
    Source,
    Threads,
    load_model,
)
from vljepa_edge.cli.output import console, print_json, print_scores, reporting, video_warnings
from vljepa_edge.support.json_numbers import number


def ask(
    source: Source,
    question: Annotated[str, typer.Option("--question", "-q", metavar="TEXT", help="What to ask.")],
    candidates: Annotated[
        str | None,
        typer.Option(
            "--candidates", "-c", metavar="A,B,C|@FILE", help="Choose among these answers.", show_default="none"
        ),
    ] = None,
    min_confidence: MinConfidence = None,
    model: ModelPath = None,
    engine: EngineName = "openvino",
    threads: Threads = None,
    precision: Precision = "auto",
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Answer a question about a video or photo: in the model's own words, or from candidates.

    An answer that may well be wrong is printed as "not sure: ...", and a candidate's probability behind its score.

    \b
    Examples:
      vljepa ask clip.mp4 --question "Which direction does it move?"
      vljepa ask photo.jpg --question "Is there a dog?" --candidates yes,no --json
    """
    choices = None if candidates is None else read_names(candidates, "--candidates")
    loaded = load_model(model, engine, threads, precision)
    with reporting("embedding candidates") as report:
        answer = loaded.answer(source, question, choices, report=report, min_confidence=min_confidence)
    if as_json:
        scores = [
            {"text": item.label, "score": number(item.score), "probability": number(item.probability)}
            for item in answer.scores
        ]
        said = {"answer": answer.text, "confidence": number(answer.confidence), "sure": answer.sure}
        row = {"question": question, **said, "score": number(answer.score), "candidates": scores}
        print_json(row | video_warnings())
        return
    doubt = "" if answer.sure else "not sure: "
    if not answer.scores:
        console().print(doubt + answer.text)
        return
    if not answer.sure:
        console().print(doubt + answer.text)
    print_scores(answer.scores)
