"""The actor: comments, changes of issues and new issues, each written once."""
