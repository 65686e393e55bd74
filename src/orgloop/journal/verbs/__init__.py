"""What the journal's verbs do, each in one transaction."""
