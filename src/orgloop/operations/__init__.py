"""What can be asked of a home and its project, whichever face asks."""
