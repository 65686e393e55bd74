"""The commands, one module each. `cli/root.py` lists them."""
