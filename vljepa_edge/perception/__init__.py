"""Frames and a query in, embeddings out: the X-encoder, the window, the predictor and the text graphs of one bundle."""
