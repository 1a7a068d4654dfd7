"""Frames read by threads ahead of whoever computes on them."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

K = TypeVar("K")
D = TypeVar("D")
T = TypeVar("T")


def cores() -> int:
    """Processor cores this process may use (a farm task often has fewer than the machine)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def read_ahead(
    keys: Iterable[K], decode: Callable[[K], D], finish: Callable[[D], T], threads: int = 0, depth: int = 0
) -> Generator[T, None, None]:
    """``finish(decode(key))`` for every key, in order, with at most ``depth`` results waiting or under way.

    ``decode`` runs in one thread, key after key, because a movie decodes that way; ``finish`` runs in ``threads``
    threads, so it holds what can run side by side. An exception surfaces at the key that raised it. Closing the
    generator drops what has not started and joins the threads. 0 means: as many threads as cores, at most 4, and a
    depth one above that.
    """
    threads = threads or min(4, cores())
    depth = depth or threads + 1
    with (
        ThreadPoolExecutor(1, thread_name_prefix="plate-decode") as decoder,
        ThreadPoolExecutor(threads, thread_name_prefix="plate-read") as finishers,
    ):
        waiting: deque[Future[T]] = deque()

        def start(key: K) -> None:
            decoded = decoder.submit(decode, key)
            waiting.append(finishers.submit(lambda: finish(decoded.result())))

        try:
            for key in keys:
                start(key)
                if len(waiting) >= depth:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            # The finishers first: one that waits for a decode which is now cancelled must find it cancelled.
            finishers.shutdown(wait=False, cancel_futures=True)
            decoder.shutdown(wait=False, cancel_futures=True)
