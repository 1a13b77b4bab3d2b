"""One question: a prompt becomes a request, a reply an answer."""
