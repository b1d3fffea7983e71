"""Sweeps: workloads measured on every kind of node, into the log.

sweep                    the command
measurement_nodes        the nodes that it measures on
cell_jobs, measure_cell  cells as Ray tasks, and the measurement of one
measurable               the interface of what is measured
function_preset          a call of a user's placed function, as a preset
sweep_rows               rows of the log from measurements or the emulator
preset_grid              the full grid, emulated in seconds
"""
