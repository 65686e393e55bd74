"""Records: what logs show."""
