"""The report, its figures, and tables for the terminal."""
