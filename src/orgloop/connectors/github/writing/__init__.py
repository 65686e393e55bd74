"""The actor: comments, reviews, labels, check runs, issues and workflows, each written once."""
