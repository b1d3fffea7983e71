"""The caller's side: placed_remote, options, the way from arguments to a submitted Ray task.

placed_function, placed_class, placed_call   what placed_remote returns, and how it is called
options, ray_constraints    ours, and what the user's Ray options exclude
placer, data_locality       from arguments to a decision
exported_function, fast_submit, dag_nodes    from a decision to Ray
snapshot_client, load_client                 what this process knows of the cluster
map_call, map_results, map_by_gain           `.map`
choose, recent_decisions    for Ray's libraries; decisions already taken
"""
