"""Fixtures for whole organizations."""

from tests.e2e.conftest import organization, sink

__all__ = ["organization", "sink"]
