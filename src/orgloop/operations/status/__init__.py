"""How an organization is, and what needs a person: one status for every output."""
