"""Files that a command line needs: its program, and the script that an interpreter is given."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_INTERPRETER: Final = re.compile(
    r"(?P<python>(?:python|pypy)[\d.]*)|(?P<shell>sh|bash|dash|ksh|zsh)|(?P<node>node|nodejs)"
    r"|(?P<other>perl|php|ruby|Rscript)"
)
_FLAGS: Final = {"python": re.compile("-[bBdEiIOPqRsSuvx]+"), "shell": re.compile("-[abefhklmnptuvxBCEHPT]+")}
"""Options after which the next word is still the script; what stands behind any other is not known here."""

_PATH: Final = re.compile(r".*/.*|.+\.\w+", re.DOTALL)
_NODE_SUFFIXES: Final = ("", ".js", ".json", ".node")


def what_is_missing(command: Sequence[str], directory: str) -> str | None:
    """Why a run of `command` in `directory` could not begin now, as the end of a sentence with its remedy.

    None: all is there, or nobody can tell. Says nothing of programs in PATH: a run has its own.
    """
    program, *words = command
    if "/" in program:
        path = Path(directory, program)
        if not os.path.lexists(path):
            return f"is {program}, and there is no such file; write a path that leads to it"
        if path.exists() and not path.is_file():
            return f"is {program}, which is not a file; write a path that leads to a program"
        if not os.access(path, os.X_OK):
            return f"is {program}, which is not executable; type chmod +x {program}"
    script = _script(Path(program).name, words)
    if script is None or not Path(directory).is_dir() or _is_there(*script, directory):
        return None
    return f"needs {script[1]}, and there is no such file in {directory}; write its path as seen from `cwd`"


def _script(program: str, words: Sequence[str]) -> tuple[str, str] | None:
    """The kind of interpreter and the word that names its script, if both are sure."""
    found = _INTERPRETER.fullmatch(program)
    if found is None or found.lastgroup is None:
        return None
    flags = _FLAGS.get(found.lastgroup)
    word = next((word for word in words if flags is None or not flags.fullmatch(word)), "-")
    return None if word.startswith("-") or not _PATH.fullmatch(word) else (found.lastgroup, word)


def _is_there(kind: str, word: str, directory: str) -> bool:
    if kind == "shell" and "/" not in word and shutil.which(word, os.F_OK):
        return True
    suffixes = _NODE_SUFFIXES if kind == "node" else ("",)
    return any(os.path.lexists(Path(directory, word + suffix)) for suffix in suffixes)
