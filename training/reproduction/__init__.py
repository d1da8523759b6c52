"""The paper's experiments in miniature (`vljepa reproduce`), and Table 6, which needs no training (`table6`)."""
