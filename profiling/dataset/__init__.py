"""The data set: pairs of runs, labelled by the joint threshold, from logs and foreign tables."""
