"""The explainer: a page to play with Circle Loss; it needs no run and no network."""

LANGUAGES = ("en", "ja")
