"""VL-JEPA in PyTorch: the four parts and the whole, sizes by config.

For training and export; the runtime never imports this. Name the module you need: `from vljepa_edge.nn.vljepa import
VLJepa`.
"""
