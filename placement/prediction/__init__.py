"""Estimates of a task's probability, seconds and joules on a kind of node, by selectors and by history.

estimate          Estimate and Spread
selector          the Selector protocol and the selector file
speedup_selector  the selector that ships: speed-up and power ratio with their spread
boosted_trees, tree_ensemble, gaussian_process   its parts
prepared_mlp      the paper's net, folded for one set of nodes
runtime_history   runs seen so far, and the posterior they give
"""
