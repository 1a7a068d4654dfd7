"""How fast hosts and the worker talk: ``python benchmarks/ipc.py``.

Prints the median round trip of a ping, how long it takes to connect, the time from submit to a job's first progress
with nothing to load, and how many events a second reach a client through engine process, journal and socket. The
engine's process is this file itself: it tells of frames without making any, so what is measured is the way, not the
work.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "plugin")]

from sa2va_plugin.client import Client, WorkerLost  # noqa: E402
from sa2va_plugin.jobspec import EngineSpec, JobSpec, ObjectSpec, Outputs, Shot  # noqa: E402
from sa2va_plugin.messages import Done, Event, Progress  # noqa: E402

PINGS = 2000
SUBMITS = 50
BURST = 200_000
RATE, SECONDS = 10_000, 20


def job(events: int, rate: int) -> JobSpec:
    """``events`` at ``rate`` a second; 0: as fast as they go."""
    shot = Shot(f"/{events}", fps=float(rate or 1_000_000))
    return JobSpec(shot, (ObjectSpec("object", "object"),), Outputs(tempfile.gettempdir()), EngineSpec("none"))


def be_engine() -> None:
    for line in sys.stdin:
        message = json.loads(line)
        if "run" not in message:
            continue
        shot = message["spec"]["shot"]
        total, rate, out = int(shot["path"][1:]), shot["fps"], sys.stdout
        began = time.monotonic()
        for number in range(1, total + 1):
            body = {"kind": "progress", "stage": "matting", "done": number, "total": total, "rate": 24.0, "eta": 1.5}
            out.write(json.dumps(body) + "\n")
            out.flush()
            ahead = number / rate - (time.monotonic() - began)
            if ahead > 0.001:
                time.sleep(ahead)
        out.write('{"kind": "done", "manifest": "/none"}\n')
        out.flush()


def be_worker() -> int:
    from sa2va_core.worker.service import run_worker

    return run_worker(child_command=[sys.executable, __file__, "engine"])


def connect(folder: str) -> float:
    began = time.perf_counter()
    client = Client("benchmark", folder, start=False)
    while client.state == "connecting":
        client.pump()
    spent = time.perf_counter() - began
    client.close()
    return spent


def follow(client: Client, spec: JobSpec) -> tuple[float, list[float], int]:
    """Seconds to the first progress, and the lag of every event (worker's stamp to here); how many there were."""
    began, first, lags, count = time.perf_counter(), 0.0, list[float](), 0
    client.submit(spec)
    while True:
        for event in client.wait(10):
            if isinstance(event, WorkerLost):
                raise SystemExit(event.message)
            if isinstance(event, Event):
                count += 1
                lags.append(time.time() - event.time)
            if isinstance(event, Progress) and not first:
                first = time.perf_counter() - began
            if isinstance(event, Done):
                return first, lags, count


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        client = Client("benchmark", folder, [sys.executable, __file__, "worker"])
        client.call(client.ping())
        times = []
        for _ in range(PINGS):
            began = time.perf_counter()
            client.call(client.ping())
            times.append(time.perf_counter() - began)
        times.sort()
        slow = times[-PINGS // 100]
        print(f"ping, median of {PINGS}: {statistics.median(times) * 1e3:.2f} ms (99 %: {slow * 1e3:.2f} ms)")

        handshakes = sorted(connect(folder) for _ in range(SUBMITS))
        print(f"connect, shake hands, say hello, median of {SUBMITS}: {statistics.median(handshakes) * 1e3:.1f} ms")

        follow(client, job(1, 0))
        firsts = sorted(follow(client, job(1, 0))[0] for _ in range(SUBMITS))
        print(
            f"submit to first progress, median of {SUBMITS}: {statistics.median(firsts) * 1e3:.1f} ms"
            f" (worst: {firsts[-1] * 1e3:.1f} ms)"
        )

        began = time.perf_counter()
        count = follow(client, job(BURST, 0))[2]
        print(f"events, as fast as they go: {count / (time.perf_counter() - began):,.0f} a second ({count:,} events)")

        began = time.perf_counter()
        _, lags, count = follow(client, job(RATE * SECONDS, RATE))
        spent = time.perf_counter() - began
        last = sorted(lags[-RATE:])
        print(
            f"events at {RATE:,} a second: {count / spent:,.0f} a second over {spent:.1f} s;"
            f" lag in the last second {statistics.median(last) * 1e3:.1f} ms (worst: {last[-1] * 1e3:.1f} ms)"
        )
        client.call(client.shut_down_worker())
        while (Path(folder) / "worker.json").exists():
            time.sleep(0.05)


if __name__ == "__main__":
    if sys.argv[1:2] == ["engine"]:  # followed by its lane
        be_engine()
    elif sys.argv[1:2] == ["worker"]:
        sys.exit(be_worker())
    else:
        main()
