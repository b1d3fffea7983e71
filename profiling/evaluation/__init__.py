"""Evaluation: policies and learners on pairs held out of their fit."""
