"""Plain data that travels between callers, workers and the control plane.

control       Settings, Update, LoadReport: between users, the placement actor and callers
envelope      Envelope and TaskRun: the spec and the decision that a task carries, and its run
node_context  NodeContext: the facts of a node that its workers need
reports       Observation, Unfit, Window: reports of workers
packing       an Envelope as bytes, made without importing what a decision takes
"""
