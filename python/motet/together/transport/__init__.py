"""Requests over HTTP: retries, deadlines, bounded bodies, event streams."""
