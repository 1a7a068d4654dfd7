"""The worker's door: strangers, garbage, crowds and clients that do not read."""

from __future__ import annotations

import random
import resource
import socket
import statistics
import time
from typing import Any

import psutil
import pytest
from sa2va_plugin import connection as link
from sa2va_plugin import messages, protocol
from sa2va_plugin.errors import WorkerError

from tests.protocol.test_protocol import BAD_STREAMS, mutate

from .bench import SOON, TOY_WORKER, Bench, finish, until


class Raw:
    """A client by hand."""

    def __init__(self, bench: Bench, greet: bool = True, hello: bool = True) -> None:
        found = link.read_connection(bench.folder)
        assert found is not None
        self.token = bytes.fromhex(found.token)
        self.socket = socket.create_connection((link.HOST, found.port), timeout=SOON)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.parser = protocol.Parser()
        if greet:
            assert self.greet(self.token)
        if greet and hello:
            self.say("hello", client="raw", protocols=[1])
            assert "result" in self.hear()

    def greet(self, token: bytes) -> bool:
        """Shake hands with a token of one's own; whether the worker's proof holds."""
        nonce = link.new_nonce()
        self.socket.sendall(link.MAGIC + nonce)
        answer = self.take(link.ANSWER_SIZE)
        theirs, proof = answer[: link.NONCE_SIZE], answer[link.NONCE_SIZE :]
        self.socket.sendall(link.client_proof(token, nonce, theirs))
        return link.proves(proof, link.worker_proof(token, nonce, theirs))

    def take(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self.socket.recv(count - len(data))
            assert piece, "cut off"
            data += piece
        return data

    def say(self, method: str, identity: int = 1, **params: Any) -> None:
        self.socket.sendall(protocol.frame(protocol.request(identity, method, params)))

    def hear(self) -> dict[str, object]:
        while True:
            data = self.socket.recv(65536)
            assert data, "cut off"
            for message in self.parser.feed(data):
                return message

    def is_cut_off(self, seconds: float = 4.0) -> bool:
        self.socket.settimeout(seconds)
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionError:
            pass
        except TimeoutError:
            return False
        return True


def test_a_wrong_or_missing_token_is_cut_off(bench: Bench) -> None:
    client = bench.client()
    wrong = Raw(bench, greet=False)
    assert not wrong.greet(b"x" * 32)
    assert wrong.is_cut_off()
    echo = Raw(bench, greet=False)
    nonce = link.new_nonce()
    echo.socket.sendall(link.MAGIC + nonce)
    answer = echo.take(link.ANSWER_SIZE)
    # The worker's own proof does not serve as the client's.
    echo.socket.sendall(answer[link.NONCE_SIZE :])
    assert echo.is_cut_off()
    unasked = Raw(bench, greet=False)
    unasked.socket.sendall(protocol.frame(protocol.request(1, "shutdown", {})))
    assert unasked.is_cut_off()
    assert "without the right token" in bench.log()
    client.call(client.ping())


def test_who_says_nothing_is_cut_off_in_time(bench: Bench) -> None:
    bench.client()
    silent, half = Raw(bench, greet=False), Raw(bench, greet=False)
    half.socket.sendall(link.MAGIC + b"x")
    assert silent.is_cut_off(20.0)
    assert half.is_cut_off(20.0)


def test_a_token_that_is_not_the_workers_is_noticed_by_the_client(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.client()
    # It tries for as long as another worker may take to end: not here.
    monkeypatch.setattr("sa2va_plugin.dial.START_WITHIN", 3.0)
    found = link.read_connection(bench.folder)
    assert found is not None
    link.write_connection(bench.folder, link.Connection(**{**vars(found), "token": "00" * 32}))
    stranger = bench.client("stranger", ready=False)
    with pytest.raises(WorkerError, match="cannot be reached"):
        stranger.call(stranger.ping())


def test_bad_streams_cost_their_sender_only(bench: Bench) -> None:
    client = bench.client()
    for name, stream in BAD_STREAMS.items():
        raw = Raw(bench)
        try:
            raw.socket.sendall(stream)
        except ConnectionError:
            continue
        assert raw.is_cut_off(), name
    client.call(client.ping())
    assert client.state == "ready"


def test_half_a_message_waits_and_harms_nobody(bench: Bench) -> None:
    client, raw = bench.client(), Raw(bench)
    whole = protocol.frame(protocol.request(5, "ping", {}))
    raw.socket.sendall(whole[:20])
    client.call(client.ping())
    raw.socket.sendall(whole[20:])
    assert raw.hear()["id"] == 5
    raw.socket.sendall(whole[:30])
    raw.socket.close()
    client.call(client.ping())


def test_fuzz_before_and_after_the_handshake(bench: Bench) -> None:
    client, dice = bench.client(), random.Random(4)
    verbs = [name for name in messages.VERBS if name not in ("shutdown", "engines")]
    for number in range(300):
        raw = Raw(bench, greet=number % 3 > 0, hello=number % 3 > 1)
        for _ in range(5):
            params = {
                "job": "0" * 12,
                "since": dice.randint(-5, 5),
                "spec": {"version": 1},
                "limit": dice.randint(-9, 9),
            }
            good = protocol.frame(protocol.request(number, dice.choice(verbs), params))
            try:
                raw.socket.sendall(dice.choice((good, mutate(good, dice), dice.randbytes(50))))
            except ConnectionError:
                break
        raw.socket.close()
    began = time.monotonic()
    client.call(client.ping())
    assert time.monotonic() - began < 2
    assert "Traceback" not in bench.log()
    assert "Traceback" not in (bench.root / "worker" / "startup.log").read_text()


def test_verbs_are_answered_by_the_rules(bench: Bench) -> None:
    bench.client()
    raw = Raw(bench, hello=False)

    def error(method: str, **params: Any) -> object:
        raw.say(method, **params)
        answer = raw.hear()["error"]
        assert isinstance(answer, dict)
        return answer["code"]

    assert error("ping") == protocol.HELLO_FIRST
    assert error("hello", client="old", protocols=[999]) == protocol.NO_COMMON_VERSION
    assert error("hello", client="old") == protocol.INVALID_PARAMS
    raw.say("hello", client="new", protocols=[999, 1])
    welcome = raw.hear()["result"]
    assert isinstance(welcome, dict)
    assert welcome["protocol"] == 1
    assert error("dance") == protocol.UNKNOWN_METHOD
    assert error("status", job="none") == protocol.FAILED
    assert error("status") == protocol.INVALID_PARAMS
    raw.socket.sendall(protocol.frame(protocol.notification("dance", {})))
    raw.say("ping", 77)
    assert raw.hear() == {"jsonrpc": "2.0", "id": 77, "result": {}}


def test_a_host_of_another_release_is_told_what_to_do(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.client()
    monkeypatch.setattr(protocol, "VERSIONS", (999,))
    newer = bench.client("newer", ready=False)
    with pytest.raises(WorkerError, match="speaks protocol 1, the host does not") as caught:
        newer.call(newer.ping())
    assert "Update" in caught.value.hint


def test_1000_connections(bench: Bench) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 1200:
        if hard != resource.RLIM_INFINITY and hard < 1200:
            pytest.skip("this machine does not allow 1,000 files")
        resource.setrlimit(resource.RLIMIT_NOFILE, (1200, hard))
    # The worker starts with what systems usually give.
    client = bench.client(command=("sh", "-c", f"ulimit -S -n 256; exec {' '.join(TOY_WORKER)}"))
    crowd = [Raw(bench) for _ in range(1000)]
    for number, raw in enumerate(crowd):
        raw.say("ping", number)
    for number, raw in enumerate(crowd):
        assert raw.hear()["id"] == number
    job = bench.submit(client, bench.job())
    for raw in crowd[:50]:
        raw.say("subscribe", job=job)
    finish(client, job)
    times = []
    for _ in range(50):
        began = time.perf_counter()
        client.call(client.ping())
        times.append(time.perf_counter() - began)
    assert statistics.median(times) < 0.5
    for raw in crowd:
        raw.socket.close()
    client.call(client.ping())


def test_a_client_that_never_reads_blocks_nobody_and_costs_no_memory(bench: Bench) -> None:
    client, deaf = bench.client(), Raw(bench)
    worker = psutil.Process(bench.pid)
    job = bench.submit(client, bench.job(frames=30))
    finish(client, job)
    before = worker.memory_info().rss
    deaf.socket.settimeout(0.2)
    frame = protocol.frame(protocol.request(1, "subscribe", {"job": job})) * 500
    sent = 0
    try:
        # Each asks for the whole log again; 100 MB of answers would be due.
        while sent < 20_000_000:
            sent += deaf.socket.send(frame)
    except TimeoutError:
        pass
    assert sent < 20_000_000, "its requests are not read while it does not read"
    finish(client, bench.submit(client, bench.job("other", frames=30)))
    assert worker.memory_info().rss - before < 40_000_000
    # Once it reads, nothing is missing.
    deaf.socket.settimeout(SOON)
    answers = [deaf.hear() for _ in range(3)]
    assert all("jsonrpc" in answer for answer in answers)


def test_connections_over_the_limit_are_closed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_CLIENTS", "5")
    client = bench.client()
    held = [Raw(bench) for _ in range(4)]
    extra = Raw(bench, greet=False)
    assert extra.is_cut_off()
    held[0].socket.close()
    until(lambda: _connects(bench))
    client.call(client.ping())


def _connects(bench: Bench) -> bool:
    try:
        Raw(bench)
    except (AssertionError, OSError):
        return False
    return True
