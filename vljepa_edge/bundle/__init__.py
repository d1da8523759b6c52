"""A deployed model on disk: its manifest, its store (a folder or one .vljepa file), and checks of ONNX bytes."""

from vljepa_edge.bundle.store import Bundle, default_bundle, write_bundle

__all__ = ["Bundle", "default_bundle", "write_bundle"]
