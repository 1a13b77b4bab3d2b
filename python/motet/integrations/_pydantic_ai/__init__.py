"""What `motet.integrations.pydantic_ai` converts between its framework and motet."""
