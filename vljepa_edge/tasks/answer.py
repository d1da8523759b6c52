"""Visual question answering (paper, section 4.2): the nearest candidate, or the predicted answer decoded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vljepa_edge.support.arguments import as_text
from vljepa_edge.tasks.classify import Score, check_labels, rank

if TYPE_CHECKING:
    from vljepa_edge.perception.perception import Perception
    from vljepa_edge.perception.text_sets import OnTexts
    from vljepa_edge.video.source import SourceLike


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer. With candidates, `score` is its probability and `scores` has all of them, best first.

    An open answer has no `scores`; its `score` is the cosine between the predicted embedding and the decoded text's
    own, which is low when the decoder could not put the embedding into words (0 for an empty text).
    """

    text: str
    score: float
    scores: tuple[Score, ...] = ()


def answer(
    model: Perception,
    source: SourceLike,
    question: str,
    candidates: Iterable[str] | None = None,
    report: OnTexts | None = None,
) -> Answer:
    """Answer a question about a video or image, out of candidates or freely.

    The question is the predictor's query, and "" asks nothing; candidates are put into the manifest's prompt "answer"
    ({candidate}), if it has one. The embeddings of candidates are kept, and reported, as those of labels are: see
    vljepa_edge.tasks.classify. Raises InputError for candidates that classify() would not take as labels.
    """
    question = as_text(question, "question")
    if candidates is None:
        embedding = model.embed_video(source, question)
        text = model.decode_text(embedding)
        return Answer(text, float(model.embed_text([text])[0] @ embedding) if text else 0.0)
    names = check_labels(candidates, "candidates")
    prompts = model.manifest.prompts
    seen = model.embed_video(source, question)
    texts = [prompts.answer.replace("{candidate}", name) for name in names]
    scores = rank(names, model.text.sets.get(texts, report) @ seen, prompts.scale)
    return Answer(scores[0].label, scores[0].score, tuple(scores))
