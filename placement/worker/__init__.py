"""The worker's side of a placed task: it runs, finds its device, and is recorded.

execution            runs the user's function and measures it
worker_process       what tasks leave in this process, and its ties to Ray
batch_run            a batch of a stage of Ray Data's, in a process that holds its device for many
task_body            the body that Ray runs in the user's function's place
device               current_device(), and which GPUs a process sees
thread_limits        the numerical libraries' threads during a task
numeric_libraries    guarded calls of torch and XGBoost where the user's code has loaded them
envelope_transport, flattened_arguments   how the Envelope arrives
actor_entry          the device of an actor
gpu_errors           which errors are a GPU's
shared_gpu           which tasks share a GPU, and how busy they keep it
kept_worker, worker_retirement            whether a worker may serve another GPU task, and how it ends
outbox, run_records  records on their way to the actor
actor_link           the way to the placement actor, and the facts of the node from there
traceback_filter     hides our frames
"""
