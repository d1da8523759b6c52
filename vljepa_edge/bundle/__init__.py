"""A deployed model on disk: its manifest, its store (a folder or one .vljepa file), and checks of ONNX bytes."""
