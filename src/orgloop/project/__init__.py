"""A project's files on disk, and the home that it runs in."""
