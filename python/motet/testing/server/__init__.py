"""The scripted server: a real HTTP server on loopback."""
