"""What `motet.integrations.langchain` converts between its framework and motet."""
