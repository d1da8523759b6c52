"""Training of VL-JEPA: data, losses, the two stages, and the default tiny model."""
