"""One question: options and a prompt become a request, and the reply becomes an answer."""
