"""Asks Linear's API what happened, and shapes the answers into the bodies of webhooks."""
