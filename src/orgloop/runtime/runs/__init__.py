"""Supervised work: how a run starts, is adopted, followed and ends."""
