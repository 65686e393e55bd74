"""Connectors that come with OrgLoop; they use `orgloop.plugin` and nothing else of the engine."""
