"""Whole trainings: from settings to a run that is measured and drawn."""
