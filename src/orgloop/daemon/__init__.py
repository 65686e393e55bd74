"""The daemon as a process: started, supervised, kept by the system, handed hooks, spoken to."""
