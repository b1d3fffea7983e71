"""The control plane: one placement actor for the cluster, one agent for each node.

client            calls the actor, and starts it where there is none
placement_actor   owns the inventory, the selector in service, the history and the log
configuration     the settings and the selectors in service, which outlive the actor
node_registry     the nodes of the cluster and the probes of them; idle_nodes: those whose agents may leave
selector_store    the selectors in service; settings_store: the settings and counters that outlive the actor
trial_account     device seconds of all placed tasks, and those of tasks that tried the other device
learning          the learner's events, and the drifts that it found
history_changes   changes of the run-time history, by revision
history_recovery  the run-time history restored from the log's tail; history_of_rows: what rows of the log tell of it
cluster_load      the queues from a poll of Ray; load_monitor: the polls, and what callers have sent since
metrics           Ray metrics; status_view: the data of `placement status`
node_agent        probes its node (machine: Ray's share of it) and measures the energy of tasks (task_energy)
actor_lookup      finds the actor and calls it; key_value_store, ray_context: Ray's store, and this process in Ray
"""
