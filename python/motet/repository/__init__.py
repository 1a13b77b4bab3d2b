"""Files of a repository as the tools of gpt-oss's training read and patch them."""
