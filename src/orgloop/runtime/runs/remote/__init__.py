"""Runs that are jobs of another system: begun once, followed until they end, called back."""
