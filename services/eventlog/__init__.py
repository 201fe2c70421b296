"""The event log: append, read, subscribe, verify; and what every user of it needs.

`log.py` is the protocol, `jetstream.py` and `memory.py` implement it, `bus.py` turns commands
into commits, `follower.py` folds commits into states for whoever reacts to them.
"""
