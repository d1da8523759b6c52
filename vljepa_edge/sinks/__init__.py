"""Where the events of a stream go: subtitles, and videos with captions in the picture."""
