"""Learners: fitted to pairs, they give P(GPU) of others; refit makes the selector file."""
