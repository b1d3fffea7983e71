"""Active learning: what a sweep measures next where its time is short, and sweeps of a user's own functions.

acquisition              which pairs to measure next, from P(GPU) and traffic: pure
traffic                  how often each piece of work came in production, from the log
budgeted_choice          the same for the jobs of a sweep, with a selector refitted to what it measured
accuracy_curves          held-out accuracy against cells measured
profile_function         placement.profile
"""
