"""The demo: the whole loop once.

demo         the command
task_stream  its stream of real tasks
"""
