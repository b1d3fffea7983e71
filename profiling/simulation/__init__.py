"""Simulation of a cluster's queues, with a bound that no schedule beats."""
