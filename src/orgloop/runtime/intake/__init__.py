"""How events come in: webhooks and polls become events, matched and prepared."""
