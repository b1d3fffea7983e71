"""Plain data that describe tasks, nodes and runs; nothing here knows Ray, torch or a file format.

task              TaskSpec: what a task is before it runs
node              NodeSpec, NodeKind and Inventory: what a cluster has
mig               MIG slices of GPUs, by a node's label
features          the nine features of the paper's selector
joint_threshold   JointThreshold: the labelling rule, Eq. 1 and 2
task_record       TaskRecord: one row of the log
autoscaler_types  the node types that an autoscaler could start
ray_start_args    what a machine adds to `ray start`
"""
