"""Which version this is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def version_of(package: str) -> str:
    """The installed package's version, `unknown` if it runs uninstalled."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
