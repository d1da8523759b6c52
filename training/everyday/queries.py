"""The words of queries, which all that the default model is taught from shares."""

from __future__ import annotations

CAPTION_QUERIES = ("What is happening?", "Describe the video.", "What do you see?", "What happens in the scene?")
OBJECT_QUERIES = ("What is this?", "What object is in the scene?", "What is in the picture?")
EXISTS_QUERIES = ("{is} there {a}?", "{is} there {a} in the scene?", "Do you see {a}?")
ANY_QUERIES = ("Are there any {many}?", "Do you see any {many}?")
WHO_QUERIES = ("Who is there?", "Who is in the picture?", "Who do you see?")
PLACE_QUERIES = ("Where is this?", "Where does this happen?")
CAMERA_QUERIES = ("How does the camera move?", "What does the camera do?", "Which way does the camera move?")
STILL_QUERIES = ("What moves?", "What is moving?")
