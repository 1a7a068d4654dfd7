"""Type hints at run time, the same in every Python from 3.7 on.

Ours are written ``tuple[int, ...]`` and stay text until somebody asks for them here: before 3.9 Python cannot evaluate
that, and ``typing``'s older names can stand in for it in all of them.
"""

from __future__ import annotations

import typing
from typing import Any

_OLDER = {"tuple": typing.Tuple, "list": typing.List, "dict": typing.Dict, "type": typing.Type}


def of(kind: Any) -> dict[str, Any]:
    """A class's fields and their types."""
    return typing.get_type_hints(kind, localns=_OLDER)


def parts(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """``Optional[int]`` -> ``Union, (int, None's type)``; ``tuple[int, ...]`` -> ``tuple, (int, ...)``; a class ->
    ``None, ()``."""
    return getattr(hint, "__origin__", None), getattr(hint, "__args__", ())
