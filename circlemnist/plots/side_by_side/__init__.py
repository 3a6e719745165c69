"""Pictures of several groups of runs as small multiples: `draw(groups, style)`, one kind a file."""
