"""Emulated hardware: times and powers of a task on kinds of node that are not at hand."""
