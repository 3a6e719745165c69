"""Circle Loss over all pairs of a batch: the formula, the same in tiles, and its gradients."""
