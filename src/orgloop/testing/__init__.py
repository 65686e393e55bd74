"""Tests for authors of connectors: a suite that each connector passes, on the real engine and a real journal.

Derive from `ConnectorSuite` in a test module of your package, and say how your other system looks:

    class TestMine(ConnectorSuite):
        connector = connector

        def source_config(self, place): ...
        def happen(self, place, number): ...

pytest finds the tests. `docs/connectors/writing.md` has a whole example.
"""

from orgloop.testing.suite import ConnectorSuite

__all__ = ["ConnectorSuite"]
