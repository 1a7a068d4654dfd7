"""Work that repeats with the same shapes, recorded once as a CUDA graph.

Launching a network's kernels one by one from Python can take the host longer than they take the device. A recording is
launched as a whole; making it takes one pass and no compiler. The numbers are those of the same kernels.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import torch
from torch import Tensor

Work = Callable[[Sequence[Tensor]], Sequence[Tensor]]

#: Calls of one kind in a row before recording: a bank that still fills up changes its shapes with every frame.
_BEFORE = 2
# Recording begins with a wait for the whole device, which CUDA forbids while another thread records.
_ALONE = threading.Lock()


class Replay:
    """Runs ``work`` as it is, and from the third call of one kind in a row on, on a CUDA device, from a recording.

    One recording is kept; a call of another kind drops it.
    """

    def __init__(self) -> None:
        self._kind: Hashable = None
        self._seen = 0
        self._recording: Recording | None = None

    def __call__(self, work: Work, tensors: Sequence[Tensor], kind: Hashable = ()) -> Sequence[Tensor]:
        """``work(tensors)``. ``kind``: what else the result depends on, so that a recording fits."""
        if tensors[0].device.type != "cuda":
            return work(tensors)
        kind = (kind, tuple(t.shape for t in tensors))
        if kind != self._kind:
            self._kind, self._seen, self._recording = kind, 0, None
        self._seen += 1
        if self._seen <= _BEFORE:
            return work(tensors)
        if self._recording is None:
            self._recording = Recording(work, tensors)
        return self._recording(tensors)


class Recording:
    """``work`` as a CUDA graph for tensors of the shapes of ``tensors``. Other threads may use the device meanwhile.

    ``pool``: memory to share with other recordings (``torch.cuda.graph_pool_handle()``) that are never run at once.
    """

    def __init__(self, work: Work, tensors: Sequence[Tensor], pool: Any = None) -> None:
        self._inputs = [t.clone() for t in tensors]
        self._last: list[Callable[[], Tensor | None]] = [lambda: None] * len(tensors)
        self._graph = torch.cuda.CUDAGraph()
        with _ALONE, torch.cuda.graph(self._graph, pool=pool, capture_error_mode="thread_local"):
            self._outputs = work(self._inputs)

    def __call__(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        changed = [pair for *pair, last in zip(self._inputs, tensors, self._last, strict=True) if pair[1] is not last()]
        if changed:
            torch._foreach_copy_(  # pyright: ignore[reportPrivateImportUsage] - one launch for all of them
                [mine for mine, _ in changed], [given for _, given in changed]
            )
        # Not kept alive: a view would hold on to a whole picture.
        self._last = [weakref.ref(tensor) for tensor in tensors]
        self._graph.replay()
        # The next replay overwrites the recorded outputs.
        return [output.clone() for output in self._outputs]
