"""The built-in loggers: console, file."""
