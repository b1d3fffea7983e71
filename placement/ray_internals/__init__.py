"""Ray's private names: the only package here that imports them, and what is done on a Ray that lacks one.

    names             the table: what each name is for, the versions it was seen in, what is done without it
    way               how tasks and actors are submitted on this Ray: fast, public or plain
    connection        this process's connection to a cluster
    options           the options that Ray knows, and its checks of them
    functions         what the fast way of submitting a task stands on; imported only where it is taken
    classes           the same for actors
    dag               the same for the nodes of DAGs
    task_submission   the arguments of Ray's own submission, in the order of this version
    control_store     Ray's key-value store
    cluster           what is free and what waits in the cluster, and where objects are
    machine           the CPUs and the memory of this machine, as Ray counts them
    worker_hooks      retirement of workers, and the traceback that a worker sends
    emulation         nodes without a dashboard, for emulated clusters

Private is what Ray's documentation does not promise: ray._private, ray._raylet, ray._common, ray.core.generated,
ray.experimental, and the insides of ray.remote_function, ray.actor, ray.dag and ray.util.tracing. Seen means that the
comparison tests ran on the version (`make test-versions`).
"""
