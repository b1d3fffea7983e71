"""Decisions: candidates and their costs, queues, policies, and the explanation. Pure: nothing here knows Ray.

feasibility   which (config, device) can run a task under the user's limits
candidates    what a policy chooses from and what it answers
queue_model   how long the queues are
cost_model    seconds, and joules priced in seconds
fastest_cpu   P(GPU) against the cluster's fastest CPU: the paper's rule for a cluster
policies      cpu_only ... balanced
snapshot      everything that a caller needs to decide alone
decision      decide(); explanation: explain()
decision_table  the same for one function, with the work that its tasks have in common done once
"""
