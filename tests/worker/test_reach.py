"""The way to a worker, where another one just begins, just ends, or has left things behind."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest
from sa2va_plugin import connection as link

from .bench import Bench


@pytest.mark.skipif(os.name != "posix", reason="elsewhere nobody asks whether a process is there")
def test_a_silent_stranger_on_a_dead_workers_port_is_passed_over(bench: Bench) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    link.make_private(bench.folder)
    with socket.create_server((link.HOST, 0)) as stranger:
        port = stranger.getsockname()[1]
        link.write_connection(bench.folder, link.Connection(port, "00" * 32, dead.pid, "", "", ""))
        client = bench.client()
        assert client.worker is not None
        assert client.worker.pid not in (dead.pid, os.getpid())
