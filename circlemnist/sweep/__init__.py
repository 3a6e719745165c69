"""Many trainings over settings that vary: `run` goes from a `plan` to a table and a picture."""
