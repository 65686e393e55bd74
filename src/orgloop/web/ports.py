"""Taking a port, and saying who has it if it is taken."""

from __future__ import annotations

import errno
import socket

import psutil

from orgloop.errors import DaemonError


def take(host: str, port: int, variable: str) -> socket.socket:
    """A listening socket; port 0 is any free one. Raises DaemonError that says who has it, and `variable`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    taken = socket.socket(family, socket.SOCK_STREAM)
    try:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((host, port))
        taken.listen(256)
        taken.setblocking(False)
    except OSError as exc:
        taken.close()
        raise _refused(host, port, variable, exc) from exc
    return taken


def _refused(host: str, port: int, variable: str, exc: OSError) -> DaemonError:
    if exc.errno == errno.EADDRINUSE:
        return DaemonError(
            f"port {port} on {host} is in use by {holder(port)}",
            hint=f"stop it, or choose another port: {variable}={port + 1 if port < 65535 else port - 1}",
        )
    return DaemonError(
        f"port {port} on {host} cannot be used: {exc.strerror or exc}",
        hint=f"choose another port, above 1023: {variable}=4801",
    )


def holder(port: int) -> str:
    """Who listens on a port of this machine, as far as we may know."""
    try:
        for one in psutil.net_connections("tcp"):
            if one.status == psutil.CONN_LISTEN and one.laddr and one.laddr.port == port and one.pid:
                return f"{psutil.Process(one.pid).name()} (process {one.pid})"
    except (psutil.Error, OSError):
        pass
    return "another program"
