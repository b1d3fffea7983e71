"""What travels between callers, workers and the control plane: plain data.

envelope      what a placed task carries to its worker
node_context  what a worker knows of its node
"""
