"""VL-JEPA in PyTorch: the four parts and the complete model, sizes by config.

For training and export; the runtime never imports this. Name the module you need: `from vljepa_edge.nn.vljepa import
VLJepa`.
"""
