"""Decisions: candidates and their costs, queues, policies, and the explanation. Pure: nothing here knows Ray.

feasibility   which (config, device) can run a task under the user's limits
candidates    what a policy chooses from and what it answers
queue_model   how long the queues are
cost_model    seconds, and joules priced in seconds
policies      cpu_only ... balanced
decision      Snapshot, decide() and explain()
"""
