"""The project's files: YAML and prompt files as data, each value with its place, variables and type."""
