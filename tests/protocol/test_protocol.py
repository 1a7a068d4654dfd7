"""Framing and messages, as pure functions of bytes."""

from __future__ import annotations

import json
import random
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sa2va_plugin import messages, protocol
from sa2va_plugin.errors import MediaError, WorkerError
from sa2va_plugin.protocol import Notification, Parser, ProtocolError, Request, Response

PLAIN = {"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {}}


def parse(data: bytes) -> list[dict[str, object]]:
    return list(Parser().feed(data))


def framed(body: bytes) -> bytes:
    return b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


def test_what_is_written_is_read_back() -> None:
    stream = protocol.frame(protocol.request(7, "submit", {"text": "Zoë's 袋 🎒", "number": 0.5}))
    [message] = parse(stream)
    assert protocol.classify(message) == Request(7, "submit", {"text": "Zoë's 袋 🎒", "number": 0.5})
    assert stream.isascii()


def test_every_event_is_read_back() -> None:
    samples = [
        messages.Queued("a", 1, 2.5, 3),
        messages.Started("a", 2, 2.5, "starter", 100, 20),
        messages.Progress("a", 3, 2.5, "matting", 21, 100, None, 3.25),
        messages.FrameReady("a", 4, 2.5, 1001, ("/x/é.exr", "/y")),
        messages.Preview("a", 5, 2.5, 1001, "/x.jpg"),
        messages.VerdictReached("a", 6, 2.5, "man", "found", "Seen.", (1, 2)),
        messages.Warned("a", 7, 2.5, "odd"),
        messages.Done("a", 8, 2.5, "/m.json"),
        messages.Failed("a", 9, 2.5, "MediaError", "gone", "find it"),
    ]
    assert [type(event) for event in samples] == list(messages.EVENTS.values())
    for event in samples:
        [message] = parse(protocol.frame(protocol.notification(f"event/{event.kind}", protocol.to_params(event))))
        notification = protocol.classify(message)
        assert isinstance(notification, Notification)
        assert messages.event_of(notification) == event


def test_errors_keep_their_class_message_and_hint() -> None:
    [message] = parse(protocol.frame(protocol.refusal(3, protocol.FAILED, MediaError("gone", "find it"))))
    answer = protocol.classify(message)
    assert isinstance(answer, Response)
    assert type(answer.error) is MediaError
    assert (answer.id, answer.error.message, answer.error.hint) == (3, "gone", "find it")
    assert type(protocol.error_named("NewerError", "m", "h")) is WorkerError
    assert type(protocol.error_named("annotations", "m", "h")) is WorkerError


def test_unknown_kinds_and_members_are_passed_over() -> None:
    assert messages.event_of(Notification("event/newer", {"job": "a"})) is None
    assert messages.event_of(Notification("weather/rain", {})) is None
    newer = {"job": "a", "seq": 1, "time": 0, "message": "m", "colour": "red"}
    assert messages.event_of(Notification("event/warning", newer)) == messages.Warned("a", 1, 0.0, "m")


@pytest.mark.parametrize(
    "params",
    [
        {"job": "a", "seq": 1, "time": 0},
        {"job": 5, "seq": 1, "time": 0, "message": "m"},
        {"job": "a", "seq": True, "time": 0, "message": "m"},
        {"job": "a", "seq": 10**400, "time": 0, "message": "m"},
        {"job": "a", "seq": 1, "time": 10**400, "message": "m"},
        {"job": "a", "seq": 1, "time": "now", "message": "m"},
    ],
)
def test_ill_typed_params_are_protocol_errors(params: dict[str, object]) -> None:
    with pytest.raises(ProtocolError, match=r"ill-typed|lacks"):
        messages.event_of(Notification("event/warning", params))


BAD_STREAMS = {
    "garbage": b"GET / HTTP/1.1\r\n\r\n",
    "one wrong byte": b"X",
    "other header": b"Content-Type: json\r\n\r\n",
    "2 GB length": b"Content-Length: 2147483648\r\n\r\n",
    "one over the limit": b"Content-Length: %d\r\n\r\n" % (protocol.MAX_BODY + 1),
    "negative length": b"Content-Length: -1\r\n\r\n",
    "no length": b"Content-Length: \r\n\r\n",
    "length with a space": b"Content-Length: 1 2\r\n\r\n",
    "length with zeros": b"Content-Length: 007\r\n\r\n",
    "endless header": b"Content-Length: 1" + b"1" * 100,
    "second header": b"Content-Length: 2\r\nX: 1\r\n\r\n{}",
    "no JSON": framed(b"hello"),
    "empty body": framed(b""),
    "not an object": framed(b"[1]"),
    "not UTF-8": framed(b'{"a":"\xff"}'),
    "byte order mark": framed(b"\xef\xbb\xbf{}"),
    "UTF-16": framed("{}".encode("utf-16")),
    "NaN": framed(b'{"a":NaN}'),
    "infinity": framed(b'{"a":1e999}'),
    "half a surrogate pair": framed(b'{"a":"\\ud800"}'),
    "many digits": framed(b'{"a":' + b"9" * 100_000 + b"}"),
    "deep": framed(b'{"a":' + b"[" * 33 + b"]" * 33 + b"}"),
    "very deep": framed(b"[" * 2_000_000),
    "deep objects": framed(b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    "quotes": framed(b'{"a":"' + b'\\"' * 1_000_000),
}


@pytest.mark.parametrize("stream", BAD_STREAMS.values(), ids=BAD_STREAMS.keys())
def test_bad_streams_are_refused_quickly(stream: bytes) -> None:
    began = time.thread_time()
    with pytest.raises(ProtocolError):
        parse(stream)
    assert time.thread_time() - began < 1.0


def test_depth_up_to_the_limit_is_read() -> None:
    inner = protocol.MAX_DEPTH - 1
    assert parse(framed(b'{"a":' + b"[" * inner + b"]" * inner + b"}"))
    assert parse(framed(b'{"a":[' + b"[]," * 5000 + b"[]]}"))


def test_a_bad_message_does_not_take_the_good_ones_before_it() -> None:
    good = framed(b'{"a":1}')
    messages_in = Parser().feed(good + good + b"bad")
    assert [next(messages_in), next(messages_in)] == [{"a": 1}, {"a": 1}]
    with pytest.raises(ProtocolError):
        next(messages_in)


def test_a_half_message_waits_for_the_rest() -> None:
    stream = framed(b'{"a":"0123456789"}') * 3
    for cut in range(len(stream)):
        parser = Parser()
        assert len([*parser.feed(stream[:cut]), *parser.feed(stream[cut:])]) == 3


def test_messages_over_the_limit_are_not_sent() -> None:
    with pytest.raises(ProtocolError, match="over the limit"):
        protocol.frame(b"x" * (protocol.MAX_BODY + 1))
    assert protocol.frame(b"x" * protocol.MAX_BODY)


@pytest.mark.parametrize(
    "change",
    [
        {"jsonrpc": "1.0"},
        {"jsonrpc": None},
        {"id": 1.5},
        {"id": True},
        {"id": [1]},
        {"id": "x" * 65},
        {"id": 10**100},
        {"method": 5},
        {"params": [1]},
        {"params": None},
        {"method": "", "params": "x"},
    ],
)
def test_what_is_not_json_rpc_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ProtocolError):
        protocol.classify({**PLAIN, **change})


@pytest.mark.parametrize(
    "message",
    [
        {"jsonrpc": "2.0"},
        {"jsonrpc": "2.0", "id": 1},
        {"jsonrpc": "2.0", "id": 1, "result": 5},
        {"jsonrpc": "2.0", "result": {}},
        {"jsonrpc": "2.0", "id": 1, "error": "no"},
        {"jsonrpc": "2.0", "id": 1, "error": {"message": 5}},
    ],
)
def test_what_is_no_answer_is_refused(message: dict[str, object]) -> None:
    with pytest.raises(ProtocolError):
        protocol.classify(message)


# Fuzzing: whatever comes in, a parser gives messages or a ProtocolError, soon.

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0") | JSON,
        "id": st.integers() | JSON,
        "method": st.sampled_from([*messages.VERBS, *(f"event/{kind}" for kind in messages.EVENTS)]) | JSON,
        "params": st.dictionaries(st.sampled_from(["job", "seq", "time", "frame", "paths", "eta", "spec"]), JSON)
        | JSON,
        "result": JSON,
        "error": JSON,
    },
)
STREAMS = st.lists(
    MESSAGES.map(lambda message: framed(json.dumps(message).encode())) | st.binary(max_size=60).map(framed),
    min_size=1,
    max_size=4,
).map(b"".join)
PIECES = (b"Content-Length: ", b"\r\n\r\n", b"4294967296", b"-1", b'"', b"[" * 50, b"\\ud800", b"\xff", b"1e999", b"\0")


def mutate(stream: bytes, dice: random.Random) -> bytes:
    data = bytearray(stream)
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(data) + 1)
        match dice.randrange(5):
            case 0:
                data[at : at + dice.randint(1, 8)] = b""
            case 1:
                data[at:at] = dice.choice(PIECES)
            case 2:
                data[at : at + 1] = bytes([dice.randrange(256)])
            case 3:
                del data[at:]
            case 4:
                data[at:at] = data[: dice.randint(0, 40)]
    return bytes(data)


def swallow(stream: bytes, size: int) -> tuple[list[object], bool]:
    """All that a stream in chunks gives, and whether it ended in a ProtocolError."""
    parser, taken = Parser(), list[object]()
    try:
        for at in range(0, len(stream), size):
            for message in parser.feed(stream[at : at + size]):
                taken.append(message)
                try:
                    what = protocol.classify(message)
                    if isinstance(what, Notification):
                        messages.event_of(what)
                    elif isinstance(what, Request) and what.method in messages.VERBS:
                        protocol.from_params(messages.VERBS[what.method].params, what.params)
                except ProtocolError:
                    pass
    except ProtocolError:
        return taken, True
    return taken, False


def test_fuzz_100_000_streams() -> None:
    count = 0

    @settings(max_examples=1000, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
    @given(STREAMS, st.integers(0, 2**32))
    def run(stream: bytes, seed: int) -> None:
        nonlocal count
        dice = random.Random(seed)
        for _ in range(100):
            broken = mutate(stream, dice)
            outcome = swallow(broken, len(broken) + 1)
            if count % 4 == 0:
                # However it is cut, the same bytes give the same messages and the same end.
                assert swallow(broken, dice.randint(1, 40)) == outcome
            count += 1

    run()
    assert count >= 100_000


@settings(max_examples=300)
@given(st.binary(max_size=300))
def test_fuzz_bytes(stream: bytes) -> None:
    swallow(stream, 7)
