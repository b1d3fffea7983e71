"""Estimates of a task's P(GPU), seconds and joules on a kind of node, by selectors and by history.

estimate            Estimate and Spread; the one formula for P(GPU)
selector            the Selector protocol
selector_file       reads and checks a selector file
selector_checks     the checks, each with the next step
speedup_selector    the selector that ships: trees, a Gaussian process, or the mean of both
boosted_trees       the trees' model; prepared_trees: made ready for some nodes; tree_ensemble: the trees themselves
gaussian_process    seconds on devices of which few timings are known
speedup_model_file  both models as content of a selector file
mlp                 the paper's net
runtime_history     past runs, and the posterior that they give
code_versions       the versions of a function's code, of which a new one begins with the runs of the one before
"""
