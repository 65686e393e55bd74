"""Packages of somebody else, as files in a directory of their own."""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Final

from tests.docs import pages

_PLACE: Final = Path(tempfile.mkdtemp(prefix="orgloop-packages-"))


def installed(name: str, text: str) -> ModuleType:
    """The module that is written so, imported from a file."""
    file = _PLACE / f"{name}.py"
    file.write_text(text, "utf-8")
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def of_page(number: int, name: str) -> ModuleType:
    """A package that `docs/connectors/writing.md` shows."""
    blocks = [block.text for block in pages.blocks("python", pages=("docs/connectors/writing.md",))]
    return installed(name, blocks[number])
