"""A file of answers with what they cost: rows, sums, and money that is reserved across processes."""
