"""The built-in loggers, through the contract that the engine uses."""
