"""Decisions: candidates and their costs, queues, policies, and the explanation. Pure: nothing here knows Ray.

feasibility   which (config, device) can run a task under the user's limits
candidates    what a policy chooses from and what it answers; candidate_set: the candidates of a task, by groups
queue_model   how long the queues are; sized_waits: for tasks that take more or less than one CPU or GPU
cost_model    seconds, and joules priced in seconds
energy_price  the price of a joule over time: schedule files, a cap in watts
gpu_share     the share of a GPU that a task is granted
fastest_cpu   P(GPU) against the cluster's fastest CPU: the paper's rule for a cluster
policies      cpu_only ... balanced
snapshot      everything that a caller needs to decide alone
decision      decide(); explanation: explain(), as text and as HTML
exploration   tasks that try the device that was not chosen; trial_budget: what they may cost
considered_candidate  one row of an explanation; explanation_text, explanation_html: its two forms
threshold_tests  the joint threshold's two tests in the paper's terms
turning_points   what would turn a decision
decision_table  the same for one function, with the work that its tasks have in common done once
"""
