"""Inside inference engines: parsers for the plugins of vLLM and SGLang."""
