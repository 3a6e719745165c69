"""How a network learns: the loop, its state, and what a person is told."""
