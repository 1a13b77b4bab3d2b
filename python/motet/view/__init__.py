"""Transcripts: what motet knows of a completion, a prompt or a run, as one value, and the faces that show it."""
