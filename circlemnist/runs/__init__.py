"""The folder of a run, and whole files in it."""
