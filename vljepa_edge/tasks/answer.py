"""Visual question answering (paper, section 4.2): the nearest candidate, or the predicted answer decoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vljepa_edge.errors import InputError
from vljepa_edge.tasks.classify import Score, check_labels, fill, rank, scale

if TYPE_CHECKING:
    from vljepa_edge.perception.perception import Perception


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer. With candidates, `score` is its probability and `scores` has all of them, best first.

    An open answer has no `scores`; its `score` is the cosine between the predicted embedding and the decoded text's
    own, which is low when the decoder could not put the embedding into words (0 for an empty text).
    """

    text: str
    score: float
    scores: tuple[Score, ...] = ()


def answer(model: Perception, source: Any, question: str, candidates: Sequence[str] | None = None) -> Answer:
    """Answer a question about a video or image, out of candidates or freely.

    The question is the predictor's query; candidates are put into the manifest's prompt "answer" ({candidate}), if it
    has one. Raises InputError for an empty question or candidates that classify() would not take as labels.
    """
    if not isinstance(question, str) or not question.strip():
        raise InputError("the question is empty; give a text such as 'What is happening?'")
    if candidates is None:
        embedding = model.embed_video(source, question)
        text = model.decode_text(embedding)
        return Answer(text, float(model.embed_text([text])[0] @ embedding) if text else 0.0)
    names = check_labels(candidates, "candidates")
    texts = [fill(model.manifest, "answer", "candidate", name) for name in names]
    scores = rank(names, model.embed_text(texts) @ model.embed_video(source, question), scale(model.manifest))
    return Answer(scores[0].label, scores[0].score, tuple(scores))
