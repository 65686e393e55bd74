"""What happened: events, deliveries, runs. The truth, and the log."""
