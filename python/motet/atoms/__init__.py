"""A slug becomes an atom: `ask`, `stream`, `estimate`, `run`."""
