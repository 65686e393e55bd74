"""The event: what it is, how it is read and matched, and what those of agent sessions say."""
