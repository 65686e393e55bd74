"""Text and its forms: JSON, numbers with units, what a terminal shows, what an agent may read."""
