"""What can go wrong for a person who sets this up, and what pip's own words mean."""

from __future__ import annotations

import re


class Problem(Exception):
    """``message`` says what is wrong, ``hint`` what to do next."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


_NO_NETWORK = re.compile(
    r"NewConnectionError|Failed to establish a new connection|name resolution|getaddrinfo failed|Network is unreachable"
    r"|Connection refused|ConnectTimeout|Read timed out|ReadTimeoutError|ProxyError|IncompleteRead|Connection aborted"
    r"|RemoteDisconnected",
)
_NO_TRUST = re.compile(r"CERTIFICATE_VERIFY_FAILED|SSLError|certificate verify failed")
_NO_SPACE = re.compile(
    r"No space left on device|Errno 28|not enough space on the disk|WinError 112|Disk quota exceeded"
)
_NO_RIGHT = re.compile(r"Permission denied|Errno 13\b|Read-only file system|WinError 5\b")
_NO_BUILD = re.compile(r"No matching distribution found for (\S+)")
_FETCHING = re.compile(r"^\s*(?:Collecting|Downloading|ERROR: No matching distribution found for) (\S+)", re.MULTILINE)


def explain(text: str, doing: str) -> Problem:
    """The problem behind pip's output ``text`` while it was ``doing`` something ("installing the packages")."""
    fetched = _FETCHING.findall(text)
    what = f" (last asked for: {fetched[-1]})" if fetched else ""
    if _NO_SPACE.search(text):
        return Problem(f"The disk is full: {doing} stopped.", "Free some space, then run the same command again.")
    if _NO_TRUST.search(text):
        return Problem(
            f"The connection's certificate is not trusted, so {doing} stopped{what}.",
            "Behind a company proxy, point PIP_CERT at its certificate file, then run the same command again.",
        )
    if _NO_NETWORK.search(text):
        return Problem(
            f"No network: {doing} stopped{what}.",
            "Connect, or set HTTPS_PROXY, and run the same command again: what is fetched is not fetched twice.",
        )
    missing = _NO_BUILD.search(text)
    if missing:
        return Problem(
            f"There is no package {missing[1]} for this Python and this machine.",
            "Run with another Python from 3.11 to 3.13, or look whether pip may reach the package index.",
        )
    if _NO_RIGHT.search(text):
        return Problem(f"A file may not be written: {doing} stopped.", "Choose a folder of your own with --folder DIR.")
    return Problem(f"Something failed while {doing}.", "The log tells more; running the same command again is safe.")
