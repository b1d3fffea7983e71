"""The caller's side: placed_remote, options, the way from arguments to a submitted Ray task.

decorator                                        placed_remote
placed_function, placed_class, placed_call       placed functions and classes, and their calls
placed_calls, class_options                      what they have in common with those by Ray's public API alone
public_function, public_class, public_proxy, ordinary_handle    the same by Ray's public API alone
options, ray_constraints                         our options, and the limits of the user's Ray options
spec_reader, placer, data_locality               from arguments to a decision
first_calls, event_loop                          calls on an event loop before the first snapshot
captured_function, variants, exported_function, fast_submit, dag_nodes    from a decision to Ray
measurable_function                              a placed function as a sweep takes it
snapshot_client, load_client                     this process's knowledge of the cluster
map_call, map_results, map_by_gain               `.map`
choose, recent_decisions                         for Ray's libraries; decisions already taken
"""
