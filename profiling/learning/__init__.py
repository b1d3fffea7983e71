"""Learners, which are fitted to pairs and give P(GPU) of others; refit makes the selector file."""
