"""What every plugin's settings keep to: no secret in an error, no number without a unit in a file."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from orgloop.plugin.settings import Duration, SecretStr, Settings, Size


class Some(Settings):
    """One of each."""

    token: SecretStr | None = None
    """A secret."""
    wait: Duration = 1_000
    """A duration."""
    most: Size = 1_000
    """A size."""


FILE = {"base": "/project", "project": "/project"}


@pytest.mark.parametrize("name", ["wait", "most"])
@pytest.mark.parametrize("value", [1.5, True])
def test_a_number_without_a_unit_is_no_setting(name: str, value: Any) -> None:
    with pytest.raises(ValidationError):
        Some.model_validate({name: value}, context=FILE)


def test_units_become_milliseconds_and_bytes() -> None:
    some = Some.model_validate({"wait": "5m", "most": "2KB"}, context=FILE)
    assert (some.wait, some.most) == (300_000, 2_048)
    assert Some.model_validate({}, context=FILE).wait == 1_000


@pytest.mark.parametrize("given", [{"token": ["s3cret"]}, {"unknown": "s3cret"}])
def test_an_error_does_not_show_what_was_given(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as raised:
        Some.model_validate(given, context=FILE)
    assert "s3cret" not in str(raised.value)
