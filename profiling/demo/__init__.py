"""The demo: the whole loop once."""
