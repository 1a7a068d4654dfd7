"""A socket that carries the protocol's messages and never blocks."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Iterator

from .protocol import Message, Parser, classify

_CHUNK = 64 * 1024


class Transport:
    """Takes over a connected, non-blocking socket. Raises OSError when the other side is gone."""

    def __init__(self, peer: socket.socket) -> None:
        self._socket = peer
        self._outgoing = bytearray()
        self._parser = Parser()
        #: Seconds without a byte from the other side, as its owner counts them.
        self.silence = 0.0

    def send(self, data: bytes) -> None:
        """Put it behind what waits to be sent; :meth:`flush` sends."""
        self._outgoing += data

    def flush(self) -> None:
        """Send what the system takes now."""
        while self._outgoing:
            try:
                sent = self._socket.send(self._outgoing)
            except (BlockingIOError, InterruptedError):
                return
            del self._outgoing[:sent]

    def receive(self, until: float) -> Iterator[Message]:
        """The messages that are here, taken in up to ``until`` by the monotonic clock. Raises ProtocolError."""
        while True:
            try:
                data = self._socket.recv(_CHUNK)
            except (BlockingIOError, InterruptedError):
                return
            if not data:
                raise ConnectionResetError
            self.silence = 0.0
            for body in self._parser.feed(data):
                yield classify(body)
            if time.monotonic() > until:
                return

    def wait(self, seconds: float) -> None:
        """Wait until something can be received, or sent if something waits."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ | (selectors.EVENT_WRITE if self._outgoing else 0))
            selector.select(seconds)

    def close(self) -> None:
        self._socket.close()
