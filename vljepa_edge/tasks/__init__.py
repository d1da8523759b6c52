"""What one model does beside streaming: classify, answer, retrieve, transition. Nearest neighbours in one space."""
