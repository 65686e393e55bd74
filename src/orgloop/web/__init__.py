"""The HTTP face: webhooks in, questions answered, the operator's hands. The engine knows nothing of it."""
