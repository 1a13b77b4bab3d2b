"""Atoms as the models of other frameworks: pydantic-ai, LangChain, LiteLLM and llm; tools of MCP servers; and what
trainers call. A module for each.
"""
