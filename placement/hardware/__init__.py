"""What a node has and draws: the probe of its hardware, and meters of power and energy.

probe               NodeSpec of this machine, measured
foreign_gpu_memory  GPU memory that programs other than Ray's hold
meters              power and energy
"""
