"""Policies: each picks one candidate for a task.

registry         the policies by name
fixed            cpu_only, gpu_only, random, flops_rule
selector_policy  the paper's: the GPU where the selector says that it is worth it
queue_aware      least time, energy or their product over all candidates and their queues
balanced         the cluster's default
map_order        which tasks of a map go first, and to which device
"""
