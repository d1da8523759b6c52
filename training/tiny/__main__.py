"""`python -m vljepa_edge.training.tiny`: train the default model from nothing."""

from vljepa_edge.training.tiny.make import main

if __name__ == "__main__":
    main()
