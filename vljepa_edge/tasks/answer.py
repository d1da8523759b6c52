"""Visual question answering (paper, section 4.2): the nearest candidate, or the predicted answer decoded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.perception.confidence import as_yes_or_no
from vljepa_edge.support.arguments import as_probability, as_text
from vljepa_edge.tasks.classify import Score, check_labels, rank

if TYPE_CHECKING:
    from vljepa_edge.perception.perception import Perception
    from vljepa_edge.perception.text_sets import OnTexts
    from vljepa_edge.video.source import SourceLike


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer.

    text        the answer; it is kept where the model is not sure
    score       with candidates how it compares with the others (a softmax); of an open answer the cosine between the
                predicted embedding and the decoded text's own (0 for an empty text)
    scores      with candidates all of them, best first
    confidence  the probability that `text` is right, calibrated on held-out data; None where the bundle has no
                calibrator for it
    sure        whether `confidence` reaches `min_confidence`, or isn't known
    """

    text: str
    score: float
    scores: tuple[Score, ...] = ()
    confidence: float | None = None
    sure: bool = True


def answer(
    model: Perception,
    source: SourceLike,
    question: str,
    candidates: Iterable[str] | None = None,
    report: OnTexts | None = None,
    min_confidence: float | None = None,
) -> Answer:
    """Answer a question about a video or image, out of candidates or freely.

    The question is the predictor's query, and "" asks nothing; candidates are put into the manifest's prompt "answer"
    ({candidate}), if it has one. The embeddings of candidates are kept, and reported, as those of labels are: see
    vljepa_edge.tasks.classify. min_confidence: 0 to 1, when the answer is `sure`; None: the manifest's.

    Of the candidates yes and no to "Is there ...?" the more probable one is the answer, where the bundle has a
    calibrator for it: the nearer one may be so for any picture. Raises InputError for candidates that classify() would
    not take as labels, and for a min_confidence above 0 of a bundle without calibrators.
    """
    question = as_text(question, "question")
    least = None if min_confidence is None else as_probability(min_confidence, "min_confidence")
    least = model.confidence.least(least)
    if candidates is None:
        return _open(model, source, question, least)
    names = check_labels(candidates, "candidates")
    prompts = model.manifest.prompts
    seen = model.embed_video(source, question)
    texts = [prompts.answer.replace("{candidate}", name) for name in names]
    cosines = model.text.sets.get(texts, report) @ seen
    sure = _yes_or_no(model, question, names, cosines)
    if sure is None:
        scores = rank(names, cosines, prompts.scale, model.confidence.text(question, cosines))
    else:
        scores = rank(names, cosines, prompts.scale, sure)
        scores.sort(key=lambda score: -(score.probability or 0.0))
    best = scores[0]
    return Answer(best.label, best.score, tuple(scores), best.probability, _is_sure(best.probability, least))


def _open(model: Perception, source: SourceLike, question: str, least: float) -> Answer:
    embedding = model.embed_video(source, question)
    words = model.confidence.say(model.text, embedding, question, 0.0)
    score = float(model.embed_text([words.text])[0] @ embedding) if words.text else 0.0
    return Answer(words.text, score, (), words.confidence, _is_sure(words.confidence, least))


def _yes_or_no(
    model: Perception, question: str, names: Sequence[str], cosines: NDArray[np.float32]
) -> NDArray[np.float64] | None:
    """The probabilities of the names yes and no to "Is there ...?"; None for other names and questions."""
    said = [as_yes_or_no(name) for name in names]
    if sorted(map(str, said)) != ["False", "True"] or not model.confidence.asks_for_presence(question):
        return None
    yes = said.index(True)
    chance = model.confidence.presence(float(cosines[yes]), float(cosines[1 - yes]))
    assert chance is not None
    return np.array([chance if is_yes else 1.0 - chance for is_yes in said])


def _is_sure(confidence: float | None, least: float) -> bool:
    return confidence is None or confidence >= least
