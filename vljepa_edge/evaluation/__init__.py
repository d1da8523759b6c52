"""How good a model is on the benchmarks of the paper, and on any table of one's own (paper, section 4).

    adapters/  ->  items.py  ->  protocols/  ->  figures
    one a          what is       what is asked   beside
    benchmark      to be seen    and counted     the paper's
                                    |
                                 embedder.py: a bundle on an engine, or a PyTorch model on a device
"""
