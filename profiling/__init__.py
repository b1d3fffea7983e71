"""Profiling sweeps, the emulator, the data set, refit, evaluation and the command line."""
