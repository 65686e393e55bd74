"""Whole organizations: real daemons, real processes, real HTTP, on loopback."""
