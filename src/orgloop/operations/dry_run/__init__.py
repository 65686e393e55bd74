"""What an event, or a request to a source, would do: routes, transforms and prompts, without a wake."""
