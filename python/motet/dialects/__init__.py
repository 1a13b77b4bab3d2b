"""Dicts of other APIs to messages and back; no I/O."""
