"""Releasing, falling back and proving both: Git, DVC and the log of events."""
