"""The embedding space to walk through in a browser: one HTML file that needs no network."""
