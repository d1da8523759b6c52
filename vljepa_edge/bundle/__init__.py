"""A deployed model on disk: its manifest, its store (a folder or one .vljepa file), checks of ONNX bytes."""

from vljepa_edge.bundle.store import Bundle, default_bundle
from vljepa_edge.bundle.write import write_bundle

__all__ = ["Bundle", "default_bundle", "write_bundle"]
