"""Tables of the paper, measured: each module is a command that writes its document in docs/reproduction."""
