"""OrgLoop: Organization as Code. The runtime between an organization's events and its AI agents."""

from __future__ import annotations

__all__: list[str] = []
