"""What every part of the engine needs: time, HTTP, supervision of tasks, counters."""
