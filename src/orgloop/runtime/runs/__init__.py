"""Runs: supervised work. `runs.py` has all of them, `holder.py` says what keeps each kind of them alive."""
