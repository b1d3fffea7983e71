"""Sweeps: workloads measured on every kind of node, into the log."""
