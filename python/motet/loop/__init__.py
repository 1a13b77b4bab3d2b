"""Many questions with tools: the loop's decisions, its values and its runners."""
