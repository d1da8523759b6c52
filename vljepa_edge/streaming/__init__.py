"""Streams of frames in, timestamped events out."""
