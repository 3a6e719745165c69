"""The embedder networks, and how they compute."""
