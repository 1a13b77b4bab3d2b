"""A request's body and a choice's events, one module for each lane."""
