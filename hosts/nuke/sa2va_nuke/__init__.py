"""Sa2VA Roto in Nuke: a Group node whose buttons call the functions below, on Nuke's main thread.

Nuke is imported when something is called, so that the host-free half of the package can be read without it.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"


def create() -> Any:
    """Make a Sa2VA node on the selected node; returns it."""
    from . import actions

    return actions.create()


def generate(node: Any) -> None:
    from . import actions

    actions.generate(node)


def cancel(node: Any) -> None:
    from . import actions

    actions.cancel(node)


def go_on(node: Any) -> None:
    """After the worker was lost."""
    from . import actions

    actions.go_on(node)


def history(node: Any) -> None:
    """Choose among the node's finished runs."""
    from . import actions

    actions.history(node)


def log(node: Any) -> None:
    """Show the end of the worker's log."""
    from . import actions

    actions.log()


def use_run(node: Any) -> None:
    """Bring the mattes of the folder in the knob ``run`` into the node."""
    from . import actions

    actions.use_run(node)


def opened(node: Any) -> None:
    """The node came into a script: made, pasted, or read from a file."""
    from . import actions

    actions.opened(node)
