"""`python -m vljepa_edge` is the `vljepa` command."""

from vljepa_edge.cli import main

if __name__ == "__main__":
    main()
