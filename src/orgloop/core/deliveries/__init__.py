"""The delivery: its life, when it may start, and how it meets others of its key."""
