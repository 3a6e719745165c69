"""A trained run, and what it is worth."""
