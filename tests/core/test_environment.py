"""Which variables a child sees."""

from __future__ import annotations

import pytest

from orgloop.core.runs.environment import child_environment


@pytest.mark.parametrize(
    "name",
    [
        *("HOME", "USER", "SHELL", "PATH", "LANG", "TERM", "TZ", "TMPDIR", "SSH_AUTH_SOCK"),
        *("LC_ALL", "LC_CTYPE", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"),
        *("ORGLOOP_HOME", "ORGLOOP_PORT", "ORGLOOP_MONKEY"),
    ],
)
def test_is_handed_on(name: str) -> None:
    assert child_environment({name: "x"}) == {name: "x"}


@pytest.mark.parametrize(
    "name",
    [
        *("GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "ANTHROPIC_API_KEY", "LD_PRELOAD", "PYTHONPATH", "home"),
        *(
            "ORGLOOP_TOKEN",
            "ORGLOOP_API_KEY",
            "ORGLOOP_WEBHOOK_SECRET",
            "ORGLOOP_DB_PASSWORD",
            "ORGLOOP_DAEMON",
        ),
        *("LC_SECRET", "XDG_TOKEN"),
    ],
)
def test_is_not_handed_on(name: str) -> None:
    assert child_environment({name: "x"}) == {}


def test_what_is_named_is_handed_on_if_it_is_set() -> None:
    environ = {"GITHUB_TOKEN": "t", "OTHER": "o", "ORGLOOP_API_KEY": "k"}
    assert child_environment(environ, ["GITHUB_TOKEN", "ABSENT", "ORGLOOP_API_KEY"]) == {
        "GITHUB_TOKEN": "t",
        "ORGLOOP_API_KEY": "k",
    }


def test_a_child_never_takes_itself_for_the_daemon() -> None:
    assert child_environment({"ORGLOOP_DAEMON": "1"}, ["ORGLOOP_DAEMON"]) == {}


def test_what_is_added_wins() -> None:
    assert child_environment({"PATH": "/bin"}, (), {"PATH": "/opt", "MODE": "x"}) == {
        "PATH": "/opt",
        "MODE": "x",
    }


def test_our_own_environment_stays_as_it_is() -> None:
    environ = {"PATH": "/bin", "SECRET": "x"}
    child_environment(environ, (), {"A": "b"})
    assert environ == {"PATH": "/bin", "SECRET": "x"}
