"""Emulated hardware: times and powers of a task on kinds of node that are not at hand.

emulator                         predicts a task's time and power from its operations and a node's roofline
step_cost, power                 the roofline of one step, and the average power of a run
gpu_sharing                      how much tasks on one GPU slow each other: an assumption
hardware_table                   bandwidths, buses and cores of hardware by name
assumptions                      figures that no measurement at hand gives, each with its reason
calibrate                        fits the coefficients to published measurements
roofline_fit                     its fits of thousands of measured steps
small_sample_fits, phone_fit     its fits of few
device_classes                   the emulator's errors by class of device
benchmark, table2_check          the emulator held against measurements and the paper's Table 2
timm_traces                      operations of the timm models
preset_specs                     the specs of the built-in presets, as they were traced
cpu_training                     training steps timed on one core
emulated_cluster                 Ray's own cluster, labelled as configurations A-D, servers, a phone, a laptop
real_gpu_node                    a real GPU of this machine beside it
"""
