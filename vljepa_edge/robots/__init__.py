"""What nodes of robots have in common: frames in as messages, events out as messages."""
