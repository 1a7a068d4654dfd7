"""The answer to a request, which may still be on its way."""

from __future__ import annotations

from typing import Callable, Generic, Optional, TypeVar, Union

from . import protocol
from .errors import Sa2vaError, WorkerError

R = TypeVar("R")


class Reply(Generic[R]):
    """The answer to a request, once it is there."""

    def __init__(self, result: type[R], then: Optional[Callable[[R], None]] = None) -> None:
        self._type, self._then = result, then
        self._value: Union[R, Sa2vaError, None] = None

    @property
    def done(self) -> bool:
        return self._value is not None

    def get(self) -> R:
        """The result. Raises the worker's error, or WorkerError when there is no answer (yet)."""
        if self._value is None:
            raise WorkerError("The worker has not answered yet.", "Pump the client, then ask again.")
        if isinstance(self._value, Sa2vaError):
            raise self._value
        return self._value

    def settle(self, response: protocol.Response) -> None:
        if response.error is not None:
            self._value = response.error
        else:
            self._value = protocol.from_params(self._type, response.result)
            if self._then is not None:
                self._then(self._value)

    def fail(self, error: Sa2vaError) -> None:
        self._value = error
