"""Learners, which are fitted to pairs and give P(GPU) of others; refit makes the selector file.

learner, registry                        the interface of learners, and the learners by name
baselines                                the majority class, a threshold on FLOPs, logistic regression, boosted trees
mlp, mlp_training, descent               the paper's net
speedup                                  the selector that ships, as a learner
fit_residuals, fit_gaussian_process      its two models: trees that correct the roofline, and curves
fit_boosted_trees, pair_targets          trees as plain data; what is fitted
fit_shipped                              the selector that ships (make selector)
openmp                                   one OpenMP thread for a fit of trees
fit_power                                watts on each device, which make joules of seconds
fit_interference                         how much tasks on one GPU slow each other
timings                                  the timings that these are fitted to
history_replay                           the posterior after runs of the same task
counterfactuals, random_effects          the run that was not made, from rows on one device
refit                                    the Ray Train job, from the log to a selector file
"""
