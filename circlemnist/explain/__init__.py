"""The explainer: Circle Loss and its kin to play with, on a page that needs no run and no network."""
