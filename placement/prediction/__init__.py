"""Estimates of a task's P(GPU), seconds and joules on a kind of node, by selectors and by history.

estimate            Estimate and Spread; the one formula for P(GPU)
one_by_one          selectors that answer for one kind of node at a time
selector            the Selector protocol
selector_file       reads and checks a selector file
selector_checks     the checks, each with the next step
speedup_selector    the selector that ships: residual trees; also trees, a Gaussian process, or both
roofline            seconds of any task on any node, before anything is learned
task_work           the work of a task, as the roofline takes it; device_rates: seconds of each part of it on a device
residual_trees      trees that correct the roofline near their data; prepared_residuals: made ready for some nodes;
                    data_support: how near the data a task on one of these nodes is
boosted_trees       trees alone, of older selector files; prepared_trees: made ready; tree_ensemble: the trees
gaussian_process    seconds on devices of which few timings are known; covariance: its prior, of which its fit is made
interference        how much tasks on one GPU slow each other
selector_trial      the selector in service while a challenger is tried against it
power_model         watts of a run on each device of a node, so that seconds give joules
drift_correction    factors on a selector's seconds, where a device has drifted
speedup_model_file  both models as content of a selector file
mlp                 the paper's net
device_belief       seconds and joules on one device, of runs and of an estimate
timings             warm runs of one size of task at one place
runtime_history     past runs; posterior: an estimate sharpened or corrected by them
code_versions       the versions of a function's code, of which a new one begins with the runs of the one before
"""
