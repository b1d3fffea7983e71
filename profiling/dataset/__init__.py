"""The data set: pairs of runs, labelled by the joint threshold, from logs and foreign tables.

pairs         pairs of a CPU and a GPU run of the same work, from the log
import_pairs  foreign measurements as rows of the log
table_file    tables that other programs wrote
frames        the frame that learners take
pair_specs    TaskSpecs and NodeSpecs of its rows
one_sided     the frame of a log whose tasks ran on one device each
drifts        rows of before a drift, as they would be now
published_pairs  the frame of the published measurements
"""
