"""The HTTP server: webhooks, the API and the control endpoints. The engine knows nothing of it."""
