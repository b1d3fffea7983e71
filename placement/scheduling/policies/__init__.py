"""Policies: each picks one candidate for a task.

registry         names of policies, and those of the paper that look at no queue
selector_policy  the paper's: the GPU where the selector says that it is worth it
queue_aware      least time, energy or their product over all candidates and their queues
balanced         the cluster's default
map_order        which tasks of a map go first, and to which device
"""
