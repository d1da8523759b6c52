"""The live page: one file, and what a browser may do with it."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files

_BLOCK = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


def read_page() -> str:
    """The page's HTML."""
    return files("vljepa_edge.serve").joinpath("page.html").read_text("utf-8")


def page_policy(page: str) -> str:
    """A Content-Security-Policy: the page's own script and style, by their hashes, and this server; nothing else."""
    hashes: dict[str, list[str]] = {"script": [], "style": []}
    for kind, text in _BLOCK.findall(page):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        hashes[kind].append(f"'sha256-{digest}'")
    return (
        f"default-src 'none'; script-src {' '.join(hashes['script'])}; style-src {' '.join(hashes['style'])}; "
        "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
