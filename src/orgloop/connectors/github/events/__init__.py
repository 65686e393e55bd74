"""From the body of a webhook, pushed or polled, to an event: who did what, and whether that is trusted."""
