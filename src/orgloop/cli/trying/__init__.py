"""What an event would do, for `orgloop test`."""
