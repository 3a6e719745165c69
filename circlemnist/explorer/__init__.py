"""The embedding space to walk through in a browser: one offline HTML file."""
