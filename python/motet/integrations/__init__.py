"""Atoms as the models of other frameworks, a module for each: pydantic-ai, LangChain, LiteLLM and llm."""
