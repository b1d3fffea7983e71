"""Measurement, learning and evaluation: sweeps, the emulator, the data set, refit, simulation, report, command line.

The folders are rooms; each imports only rooms above it in this list:

    terminal     the console that tables are printed to, as wide as the terminal
    emulation    times and powers on hardware that is not at hand, calibrated on published measurements
    dataset      pairs of runs on a CPU and a GPU, labelled by the joint threshold
    sweep        measures workloads on every kind of node, into the log
    simulation   a cluster's queues over a trace of arrivals, with a bound that no schedule beats
    learning     learners, and the Ray Train job that refits the selector file
    active_learning    what a sweep measures next where its time is short; sweeps of a user's own functions
    learning_loop      drift, trials of challengers, swaps and rollbacks without a person; their simulation
    evaluation   policies and learners on held-out pairs
    report       the page, its plots, and tables for the terminal
    paper        each part of the paper's evaluation, beside the published figures
    bench        what placing costs beside plain Ray
    pipelines    multimodal pipelines on Ray Data: the GPU stage pinned, divided by hand, or placed
    demo         the whole loop once
    cli          the command line
"""
