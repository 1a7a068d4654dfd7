"""How hosts and the worker speak: JSON-RPC 2.0 behind Content-Length headers.

Pure functions of bytes, without sockets, so that everything here can be tested with any input. What they say stands in
:mod:`sa2va_plugin.messages`; docs/protocol.md is both in prose.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from functools import lru_cache
from typing import Any, Callable, Optional, TypeVar, Union, cast

from . import errors, hints
from .errors import Sa2vaError, WorkerError

#: Protocol versions that this code speaks, best last.
VERSIONS = (1,)

MAX_BODY = 4 * 1024 * 1024
MAX_DEPTH = 32
MAX_ID = 64

# Codes of JSON-RPC 2.0, then our own.
PARSE_ERROR = -32700
UNKNOWN_METHOD = -32601
INVALID_PARAMS = -32602
FAILED = -32000
NO_COMMON_VERSION = -32001
HELLO_FIRST = -32002

T = TypeVar("T")


class ProtocolError(WorkerError):
    """Bytes that are not this protocol. The connection they came over cannot be used further."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "Check that this host's plug-in and the worker are of the same release.")


# Framing


_HEADER = b"Content-Length: "
_HEADER_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"0|[1-9][0-9]{0,9}")
_MAX_HEADER = len(_HEADER) + 10 + len(_HEADER_END)
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def to_body(message: Mapping[str, Any]) -> bytes:
    """ASCII JSON on one line: what stands behind the header, and what the worker's event logs hold."""
    return _encode(message).encode("ascii")


def frame(body: bytes) -> bytes:
    if len(body) > MAX_BODY:
        raise ProtocolError(f"A message of {len(body)} bytes is over the limit of {MAX_BODY}.")
    return b"%s%d%s%s" % (_HEADER, len(body), _HEADER_END, body)


class Parser:
    """Turns a stream of bytes, cut anywhere, into message bodies (JSON objects).

    It never holds more than one message and one chunk. After a ProtocolError it must not be fed again.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._length: Optional[int] = None

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        """The messages that ``data`` completes, in order; raises ProtocolError where the stream goes wrong."""
        self._buffer += data
        while True:
            if self._length is None:
                self._length = self._take_header()
            if self._length is None or len(self._buffer) < self._length:
                return
            body = bytes(self._buffer[: self._length])
            del self._buffer[: self._length]
            self._length = None
            yield from_body(body)

    def _take_header(self) -> Optional[int]:
        buffer = self._buffer
        if not buffer.startswith(_HEADER[: len(buffer)]):
            raise ProtocolError("A message does not start with Content-Length.")
        end = buffer.find(_HEADER_END, 0, _MAX_HEADER)
        if end < 0:
            if len(buffer) >= _MAX_HEADER:
                raise ProtocolError("A message's header is too long.")
            return None
        digits = bytes(buffer[len(_HEADER) : end])
        if not _LENGTH.fullmatch(digits):
            raise ProtocolError("A message's length is not a number.")
        length = int(digits)
        if length > MAX_BODY:
            raise ProtocolError(f"A message of {length} bytes is over the limit of {MAX_BODY}.")
        del buffer[: end + len(_HEADER_END)]
        return length


def from_body(body: bytes) -> dict[str, Any]:
    """One JSON object of bounded depth, finite numbers and whole characters; else ProtocolError."""
    try:
        message = json.loads(body.decode("utf-8"), parse_float=_finite, parse_constant=_finite)
        if b"\\u" in body:
            # Half a surrogate pair passes as JSON, but can be neither stored nor sent on.
            json.dumps(message, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"A message is not valid JSON: {type(error).__name__}.") from error
    if not isinstance(message, dict):
        raise ProtocolError("A message is not a JSON object.")
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH and _deeper_than(MAX_DEPTH, message):
        raise ProtocolError(f"A message is nested deeper than {MAX_DEPTH}.")
    return message


def _deeper_than(limit: int, value: Any) -> bool:
    level = [value]
    for _ in range(limit):
        level = [
            item
            for parent in level
            if isinstance(parent, (dict, list))
            for item in (parent.values() if isinstance(parent, dict) else parent)
        ]
    return any(isinstance(item, (dict, list)) for item in level)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("number out of range")
    return number


# JSON-RPC


@dataclass(frozen=True)
class Request:
    id: Union[int, str]
    method: str
    params: dict[str, Any]


@dataclass(frozen=True)
class Notification:
    method: str
    params: dict[str, Any]


@dataclass(frozen=True)
class Response:
    """``error`` is None for a good answer. ``id`` is None where the other side could not tell what it answers."""

    id: Union[int, str, None]
    result: dict[str, Any]
    error: Optional[Sa2vaError] = None


Message = Union[Request, Notification, Response]


def classify(message: Mapping[str, Any]) -> Message:
    """What a message is. Members that JSON-RPC does not define are passed over. Raises ProtocolError."""
    if message.get("jsonrpc") != "2.0":
        raise ProtocolError("A message is not JSON-RPC 2.0.")
    identity = message.get("id")
    if identity is not None and type(identity) not in (int, str):
        raise ProtocolError("A message's id is neither a number nor text.")
    if len(str(identity)) > MAX_ID:
        raise ProtocolError("A message's id is too long.")
    if "method" in message:
        method, params = message["method"], message.get("params", {})
        if not isinstance(method, str) or not isinstance(params, dict):
            raise ProtocolError("A message's method is not text, or its params are not an object.")
        return Notification(method, params) if identity is None else Request(identity, method, params)
    if "error" in message:
        return Response(identity, {}, _error(message["error"]))
    result = message.get("result")
    if not isinstance(result, dict) or identity is None:
        raise ProtocolError("A message is neither a request nor an answer.")
    return Response(identity, result)


def request(identity: Union[int, str], method: str, params: Mapping[str, Any]) -> bytes:
    return to_body({"jsonrpc": "2.0", "id": identity, "method": method, "params": params})


def response(identity: Union[int, str], result: Mapping[str, Any]) -> bytes:
    return to_body({"jsonrpc": "2.0", "id": identity, "result": result})


def refusal(identity: Union[int, str, None], code: int, error: Sa2vaError) -> bytes:
    detail = {"class": type(error).__name__, "hint": error.hint}
    body = {"code": code, "message": error.message, "data": detail}
    return to_body({"jsonrpc": "2.0", "id": identity, "error": body})


def notification(method: str, params: Mapping[str, Any]) -> bytes:
    return to_body({"jsonrpc": "2.0", "method": method, "params": params})


def error_named(name: str, message: str, hint: str) -> Sa2vaError:
    """The user's error of that class; a class that this release does not know becomes a WorkerError."""
    made: Sa2vaError = WorkerError(message, hint)
    found = getattr(errors, name, None)
    if isinstance(found, type) and issubclass(found, Sa2vaError):
        made = found(message, hint)
    return made


def _error(body: Any) -> Sa2vaError:
    if not isinstance(body, dict) or not isinstance(body.get("message"), str):
        raise ProtocolError("An error carries no message.")
    data = body.get("data")
    data = data if isinstance(data, dict) else {}
    name, hint = data.get("class", ""), data.get("hint", "")
    return error_named(str(name), body["message"], hint if isinstance(hint, str) else "")


# Dataclasses in and out of params and results. Unlike in a job, unknown members are passed over: a newer peer may send
# more.


def to_params(value: Any) -> dict[str, Any]:
    return asdict(value)


def from_params(kind: Callable[..., T], params: Mapping[str, Any]) -> T:
    """``params`` as the dataclass ``kind``. Raises ProtocolError for a member that is missing or ill-typed."""
    values = {}
    for name, required, read in _readers(kind):
        if name in params:
            try:
                values[name] = read(params[name])
            except TypeError:
                raise ProtocolError(f"The member {name!r} of {_title(kind)} is ill-typed.") from None
        elif required:
            raise ProtocolError(f"{_title(kind)} lacks the member {name!r}.")
    return kind(**values)


def _title(kind: Any) -> str:
    return str(getattr(kind, "__name__", kind))


@lru_cache(maxsize=256)
def _readers(kind: Any) -> tuple[tuple[str, bool, Callable[[Any], Any]], ...]:
    kinds = hints.of(kind)
    return tuple(
        (f.name, f.default is MISSING and f.default_factory is MISSING, _reader(kinds[f.name])) for f in fields(kind)
    )


def _reader(hint: Any) -> Callable[[Any], Any]:
    origin, args = hints.parts(hint)
    if origin is Union:
        inner = _reader(args[0])
        return lambda value: None if value is None else inner(value)
    if origin is tuple:
        each = _reader(args[0])
        return lambda value: tuple(each(item) for item in _typed(list, value))
    if is_dataclass(hint):
        return lambda value: from_params(cast(Any, hint), _typed(dict, value))
    if origin is dict:
        return lambda value: _typed(dict, value)
    if hint is float:
        return lambda value: float(_whole(value)) if type(value) is int else _typed(float, value)
    if hint is int:
        return _whole
    return lambda value: _typed(hint, value)


def _whole(value: Any) -> int:
    # What every JSON reader holds exactly.
    if type(value) is not int or abs(value) >= 2**53:
        raise TypeError
    return value


def _typed(kind: Any, value: Any) -> Any:
    if type(value) is not kind:
        raise TypeError
    return value
