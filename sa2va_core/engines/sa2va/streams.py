"""Frames to the device and results back, without making either wait for the other."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from sa2va_plugin.errors import EngineError
from torch import Tensor

from sa2va_core.engines.recording import Replay
from sa2va_core.media.frames import Picture

from .network import Network
from .pixels import Pixels
from .sam2.model import Features

log = logging.getLogger(__name__)
T = TypeVar("T")


def out_of_memory(device: torch.device) -> EngineError:
    return EngineError(
        f"The device {device} has too little memory left, even for one frame and one object at a time.",
        "Close other programs that use it, choose a smaller model, or run with the device cpu.",
    )


class Encoder:
    """Runs the image encoder over frames in batches, which halve when memory runs out."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.pixels = Pixels(network.device, network.dtype, network.sam2.geometry.image)
        self.batch = 8 if network.device.type == "cuda" else 1
        self._replay = Replay()

    def stream(self, pictures: Iterable[Picture]) -> Iterator[tuple[Picture, Features]]:
        """Each picture with its features (1, ...), in order; at most a batch of them is held."""
        source = iter(pictures)
        while batch := list(islice(source, self.batch)):
            while batch:
                part = batch[: self.batch]
                features = self.encode(part)
                if features is None:
                    continue
                for i, picture in enumerate(part):
                    yield picture, features[i]
                batch = batch[len(part) :]

    @torch.inference_mode()
    def encode(self, pictures: list[Picture]) -> Features | None:
        """Features of a batch; None if memory ran out, after which the batch is smaller."""
        try:
            return self.features(self.pixels([p.rgb for p in pictures]))
        except torch.OutOfMemoryError:
            self.shrink()
            return None

    def features(self, pixels: Tensor) -> Features:
        """Features of SAM 2's input, (n, 3, 1024, 1024)."""
        # A short last batch must not push the recording of whole ones out.
        replay = self._replay if len(pixels) == self.batch else Replay()
        return Features.of(replay(lambda tensors: self._network.sam2.encode(tensors[0]).tensors, [pixels]))

    def shrink(self) -> None:
        """Go on with smaller batches, since memory ran out. Raises EngineError where there are none."""
        self._replay = Replay()
        if self.batch == 1:
            raise out_of_memory(self._network.device) from None
        self.batch //= 2
        torch.cuda.empty_cache()
        log.warning("Memory ran out; frames are now encoded %d at a time.", self.batch)


@dataclass(frozen=True)
class HostMasks:
    """Masks on the host: ``logits`` float32 (n, 256, 256), ``presence`` logits float32 (n,), ``iou`` float32 (n,)."""

    logits: NDArray[np.float32]
    presence: NDArray[np.float32]
    iou: NDArray[np.float32]


class Delivery(Generic[T]):
    """Brings tensors to the host a few frames late, so that the device never waits for a copy.

    ``lag``: how many sendings may be under way; it also bounds how far the host runs ahead of the device.
    """

    def __init__(self, device: torch.device, lag: int = 16) -> None:
        self._cuda = device.type == "cuda"
        self._lag = lag if self._cuda else 0
        self._stream = torch.cuda.Stream(device) if self._cuda else None
        self._under_way: deque[tuple[T, list[Tensor], torch.cuda.Event | None]] = deque()

    def send(self, tag: T, sent: Sequence[Tensor]) -> Iterator[tuple[T, list[NDArray[np.float32]]]]:
        """Start some on their way; those that have arrived come back as float32, oldest first."""
        if self._stream is None:
            self._under_way.append((tag, [t.float().cpu() for t in sent], None))
        else:
            self._stream.wait_stream(torch.cuda.current_stream(sent[0].device))
            with torch.cuda.stream(self._stream):
                hosts = [torch.empty(t.shape, dtype=torch.float32, pin_memory=True) for t in sent]
                for host, tensor in zip(hosts, sent, strict=True):
                    host.copy_(tensor, non_blocking=True)
                    tensor.record_stream(self._stream)
                event = torch.cuda.Event()
                event.record(self._stream)
            self._under_way.append((tag, hosts, event))
        yield from self._arrived(self._lag)

    def rest(self) -> Iterator[tuple[T, list[NDArray[np.float32]]]]:
        """All that are still under way."""
        yield from self._arrived(0)

    def _arrived(self, leave: int) -> Iterator[tuple[T, list[NDArray[np.float32]]]]:
        while len(self._under_way) > leave:
            tag, hosts, event = self._under_way.popleft()
            if event is not None:
                event.synchronize()
            yield tag, [h.numpy() for h in hosts]
