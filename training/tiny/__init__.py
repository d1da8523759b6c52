"""Data of the default model: the packages it comes from, the wide vocabulary and the real evaluation sets."""
