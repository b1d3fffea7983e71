"""What happens in a worker: the placed task runs, sees its device, and is recorded.

execution             runs the user's function
device                current_device(), and which GPUs a process sees
envelope_transport, flattened_arguments   how the Envelope arrives
actor_entry           the same for actors
gpu_errors, worker_retirement             a GPU that fails
outbox, run_records   records on their way to the actor
traceback_filter      hides our frames
"""
