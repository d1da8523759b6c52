"""Checkpoints of others -> our safetensors layouts."""
