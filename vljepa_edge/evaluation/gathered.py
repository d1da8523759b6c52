"""Videos and what people say of them, gathered for retrieval: every text a query, or all of a video's as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vljepa_edge.evaluation.items import Described, Media, Retrieval

Texts = Mapping[Media, Sequence[str]]
"""In the order in which they come. Rows of one clip, or of files of one stem, are one video: no two videos of a set may
look the same, since a tie is wrong."""


def each_text(texts: Texts) -> Retrieval:
    """Every text is a query of its own."""
    return Retrieval(tuple(Described(media, tuple(own)) for media, own in texts.items()))


def paragraphs(texts: Texts) -> Retrieval:
    """The texts of a video, in their order, are one query (paragraph-to-video retrieval)."""
    return each_text({media: (" ".join(text.strip() for text in own),) for media, own in texts.items()})
