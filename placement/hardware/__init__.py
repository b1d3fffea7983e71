"""The hardware of a node: the probe of it, and meters of its power and energy.

probe               the measured NodeSpec of this machine, or of Ray's share of it
kernels             the kernels that the probe times
foreign_gpu_memory  GPU memory of programs other than Ray's
meters              power and energy
"""
