"""`placement bench-pipeline`: multimodal pipelines on Ray Data, the GPU stage pinned, divided by hand, or placed.

On an emulated A-D cluster stages take the emulator's seconds, compressed, and carry real bytes through the object
store.

    shapes      the pipelines: their rows, bytes and the specs of their two stages
    timed_work  the stages' functions, which take their emulated seconds and say what they used
    processes   worker processes that are there before a run
    gate        the start of a run's clock: the first workers are there
    arms        the ways to run a pipeline, each as a Ray Data dataset
    makespan_bound   the linear programme that no way can beat
    disturbances     a killed node, GPUs held by others
    measure     one run of an arm, as figures
    overhead    placement.map_batches beside Ray Data's own where there is nothing to choose
    runs        runs one after the other on one cluster, and the emulated cluster itself
    benchmark   all of it, as plain data
    pictures    stages on real JPEG files, which ResNet-18 classifies
    real        the benchmark of those on this machine
    table       the same as the rows of a table
"""
