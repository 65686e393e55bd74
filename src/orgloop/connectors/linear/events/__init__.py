"""From the body of a webhook, pushed or made by a poll, to events: what changed, and who did it."""
