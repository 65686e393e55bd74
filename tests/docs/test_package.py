"""What is handed out is whole, and `make` says what is missing on a machine that lacks it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.support.checkout import ROOT, tracked


def built(target: str, directory: Path) -> Path:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(directory)],
        cwd=ROOT,
        capture_output=True,
        check=True,
        timeout=120,
    )
    [archive] = directory.iterdir()
    return archive


def test_the_source_distribution_holds_every_file_of_the_checkout(tmp_path: Path) -> None:
    wanted = set(tracked())
    with tarfile.open(built("sdist", tmp_path)) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert wanted - held == set()


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(tmp_path: Path) -> None:
    package = {name.removeprefix("src/") for name in tracked() if name.startswith("src/")}
    with zipfile.ZipFile(built("wheel", tmp_path)) as archive:
        held = set(archive.namelist())
    assert {name for name in held if ".dist-info/" not in name} == package


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """As much of a checkout as the making of a .venv looks at."""
    place = tmp_path / "a checkout"
    shutil.copytree(ROOT / "requirements", place / "requirements")
    shutil.copytree(ROOT / "scripts", place / "scripts")
    return place


def made(checkout: Path, python: str, **environ: str) -> tuple[int, str]:
    """Exit status and complaint of `scripts/venv` where this shell script is every python3."""
    programs = checkout.parent / "programs"
    programs.mkdir()
    for name in ("python3", "python3.11", "python3.12", "python3.13", "python3.14"):
        (programs / name).write_text(f"#!/bin/sh\n{python}\n")
        (programs / name).chmod(0o755)
    done = subprocess.run(
        ["sh", "scripts/venv", "runtime"],
        cwd=checkout,
        env={"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "HOME": str(checkout), **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.returncode, done.stderr


def test_without_ensurepip_the_command_to_type_is_printed(checkout: Path) -> None:
    (checkout / "less/ensurepip").mkdir(parents=True)
    (checkout / "less/ensurepip/__init__.py").write_text("raise ImportError\n")
    status, said = made(checkout, f'PYTHONPATH="{checkout}/less" exec "{sys.executable}" "$@"')
    assert status == 1
    assert "its venv or ensurepip module is missing" in said
    assert "Type:  " in said or "Install Python" in said


def test_an_old_python_is_named_with_what_is_needed(checkout: Path) -> None:
    status, said = made(checkout, 'case $1 in -V) echo "Python 3.9.2" ;; *) exit 1 ;; esac')
    assert status == 1
    assert "OrgLoop needs Python 3.11 or newer; python3 is Python 3.9.2." in said


def test_without_a_network_it_says_what_is_missing(checkout: Path) -> None:
    status, said = made(
        checkout,
        f'exec "{sys.executable}" "$@"',
        PIP_CONFIG_FILE=os.devnull,
        PIP_INDEX_URL="http://127.0.0.1:9/simple",
        PIP_RETRIES="0",
    )
    assert status == 1
    assert "They come over the network; PIP_INDEX_URL names a mirror." in said
