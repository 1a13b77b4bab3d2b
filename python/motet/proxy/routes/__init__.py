"""The addresses of a proxy, a module for each API and one for the service itself."""
