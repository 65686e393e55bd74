"""How work goes out: claims, prompts and wakes."""
