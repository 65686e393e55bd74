"""What a run shall be: `spec.json`, read."""

# ruff: noqa: PTH123

import errno

from . import NEVER, SPEC, VERSION
from .files import encode, from_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
else:
    import _signal as signal  # the compiled half: `signal` itself loads `enum`, half an interpreter's start

TICK_S = 1.0  # longest time between two looks at the limits and at `stop`


class StartError(Exception):
    """The program could not be started. Arguments: the system's error number; what failed and what to do."""


class Spec:
    """What spec.json asks for; a limit that is not set is NEVER. Raises StartError if the file is no spec."""

    def __init__(self) -> None:
        try:
            with open(SPEC, encoding="utf-8") as file:
                spec = from_json(file.read())
            if spec["version"] != VERSION or not spec["argv"]:
                raise ValueError("another version, or no argv")
            self.argv, self.cwd = [encode(word) for word in spec["argv"]], encode(spec["cwd"])
            self.env = {encode(name): encode(value) for name, value in spec["env"].items()}
            self.grace_s = float(spec["grace_s"])
            self.stop_signal = int(spec.get("stop_signal", signal.SIGTERM))
            self.limits = {
                name: NEVER if spec["limits"][name] is None else float(spec["limits"][name])
                for name in ("start_s", "silence_s", "total_s", "output_bytes")
            }
            turns = spec.get("turns") or {}
            self.ends, self.begins = (
                [(encode(name), encode(text)) for name, text in turns.get(kind, ())]
                for kind in ("ends", "begins")
            )
            self.busy = tuple(map(encode, turns.get("busy") or ()))
        except (OSError, ValueError, LookupError, TypeError, AttributeError, SyntaxError) as exc:
            error = f"{SPEC} is no run of format version {VERSION}: {exc!r}; restart the daemon, run it anew"
            raise StartError(getattr(exc, "errno", errno.EINVAL), error) from exc
        times = (limit / 4 for name, limit in self.limits.items() if name.endswith("_s"))
        self.tick_s = max(0.01, min(TICK_S, *times, self.grace_s / 4 if self.ends else NEVER))
