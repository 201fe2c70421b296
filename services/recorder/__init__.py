"""Recordings: each stream remuxed to a file that survives a crash."""
