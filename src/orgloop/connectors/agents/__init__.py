"""Programs that work when woken: what all of them share, and one part for each agent."""
