"""Plays whoever updates the ticket."""

import time

time.sleep(0.3)
print("An empty list parses now; a test keeps it so.")
