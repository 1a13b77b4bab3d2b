"""Types and functions as JSON Schema, and values back."""
