"""Stages of a Ray Data dataset that run on CPUs and GPUs at once: `placement.map_batches`.

map_batches    the public function: a lazy Dataset whose stage is decided batch by batch
stage          Stage: what a stage runs and under which options, as plain data that travels to every worker
router         Router: the class that Ray Data runs; it has each batch computed by a worker of either device
requests       from a batch to its spec, its request and its envelope
broker         Broker: the actor of a stage, which routers ask for workers
broker_link    the way of routers to the broker, which is started anew where it has gone
batch_queue    BatchQueue: the batches that wait, and which of them a free worker takes (no Ray in it)
dispatcher     Dispatcher: the batches that wait or run; it gives them to free workers
worker_pools   WorkerPools: the pools of both devices, sized by the queue and by what the cluster has free
pool           WorkerPool: the workers of one device
room           how many workers a cluster has room for, and a stage's share of the CPUs (no Ray in it)
device_use     DeviceUse: batches, rows, seconds and joules of a stage on one device (no Ray in it)
stage_stats    the same as `Dataset.stats()` shows it
device_worker  DeviceWorker: the actor that holds the user's function or instance on one device
user_function  the user's function or class, called as Ray Data calls it
single_device  the stage where there is nothing to choose: Ray Data's own, with a row of the log for each batch
batches        rows, bytes and slices of pandas, NumPy and Arrow batches
"""
