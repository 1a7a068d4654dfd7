from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

def persistent(function: F) -> F: ...
def __getattr__(name: str) -> Any: ...
