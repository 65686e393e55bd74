"""The runner, with real processes: nothing here is faked."""
