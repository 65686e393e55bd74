"""Runs that are programs on this machine, each held by a runner of its own."""
