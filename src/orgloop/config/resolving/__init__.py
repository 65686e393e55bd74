"""From what the files say to what the runtime opens: plugins found, names looked up, settings read."""
