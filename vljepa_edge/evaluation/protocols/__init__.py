"""How each kind of benchmark asks a model, one protocol a file: a task and an embedder in, figures in per cent out."""
