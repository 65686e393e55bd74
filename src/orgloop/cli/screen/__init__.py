"""What commands show, and how: chains, deliveries, runs, tables, times, words."""
