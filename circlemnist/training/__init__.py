"""Training: from settings to a trained network, its state, and the progress that is shown."""
