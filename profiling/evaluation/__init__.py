"""Evaluation: policies and learners on what they have not seen."""
