"""Places every task of a Ray program on a CPU or a GPU."""
