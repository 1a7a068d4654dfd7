"""Work that repeats with the same shapes, recorded once as a CUDA graph.

Launching a network's kernels one by one from Python can take the host longer than they take the device. A recording is
launched as a whole; making it takes one pass and no compiler. The numbers are those of the same kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import torch
from torch import Tensor

Work = Callable[[Sequence[Tensor]], Sequence[Tensor]]

#: Calls of one kind in a row before recording: a bank that still fills up changes its shapes with every frame.
_BEFORE = 2


class Replay:
    """Runs ``work`` as it is, and from the third call of one kind in a row on, on a CUDA device, from a recording.

    One recording is kept; a call of another kind drops it.
    """

    def __init__(self) -> None:
        self._kind: Hashable = None
        self._seen = 0
        self._recording: _Recording | None = None

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
            self._recording = _Recording(work, tensors)
        return self._recording(tensors)


class _Recording:
    def __init__(self, work: Work, tensors: Sequence[Tensor]) -> None:
        self._inputs = [t.clone() for t in tensors]
        self._last: Sequence[Tensor] = list(tensors)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._outputs = work(self._inputs)

    def __call__(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        changed = [pair for *pair, last in zip(self._inputs, tensors, self._last, strict=True) if pair[1] is not last]
        if changed:
            torch._foreach_copy_(  # pyright: ignore[reportPrivateImportUsage] - one launch for all of them
                [mine for mine, _ in changed], [given for _, given in changed]
            )
        self._last = list(tensors)
        self._graph.replay()
        # The next replay overwrites the recorded outputs.
        return [output.clone() for output in self._outputs]
