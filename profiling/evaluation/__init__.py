"""Evaluation: policies and learners on pairs held out of their fit.

evaluate                 the policies as in Table 5, and the selectors' accuracy
holdout, holdout_scores  learners on a device, work, family or source that is held out
out_of_the_box           the shipped selector on published pairs, and fitted without each source
source_figures           its figures of a source
policy_scores            costs and accuracy of policies and of the oracle
unpaired_curve           accuracy against rows of tasks that ran on one device each
"""
