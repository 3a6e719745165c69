"""One picture a file, each a function from arrays to a matplotlib Figure."""
