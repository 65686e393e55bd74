"""Writing and changing the files of a project, for `init` and `add`."""
