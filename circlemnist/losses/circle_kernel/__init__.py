"""Circle Loss over all pairs of a batch, fast and in little memory; `plain.py` is the formula."""
