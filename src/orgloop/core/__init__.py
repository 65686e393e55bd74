"""Values and rules: no I/O, no await, no clock. Time and randomness come in as arguments."""
