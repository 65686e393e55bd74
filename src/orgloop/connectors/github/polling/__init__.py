"""Asks GitHub's API what happened: repositories read in steps, and shaped into the bodies of webhooks."""
