"""The language of the conference: commands, events, state, decisions and views.

Pure: the standard library and msgspec only. No clock, no random number, no I/O; time and fresh
ids come in with the command, so a replay of the log gives the same bytes for ever.
"""
