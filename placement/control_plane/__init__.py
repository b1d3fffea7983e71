"""The control plane: one placement actor for the cluster, one agent for each node.

placement_actor  owns the inventory, the selector in service, the history and the log
node_agent       probes its node and keeps the power trace
cluster_load, load_monitor   the cluster's queues
idle_nodes       nodes whose agents may leave
metrics, status_view         what is shown
"""
