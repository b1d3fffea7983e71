"""The workloads of the paper: real models at their real sizes, on real file formats."""
