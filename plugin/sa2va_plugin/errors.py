"""The errors a user can meet.

Every one says what is wrong (``message``) and what to do next (``hint``); paths come last in the message, so that
the first words of a truncated line still say what happened. A traceback for bad input is a bug.
"""

from __future__ import annotations

from collections.abc import Iterable


class Sa2vaError(Exception):
    """Base of all errors meant for the user.

    ``exit_code`` is what the command line returns: 1, or 75 (EX_TEMPFAIL in sysexits.h) where the same command may
    succeed later without a change, which farm managers read as "retry", or 130 for a job that was cancelled, or 3 for
    results that are there but not good enough.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


def worst_exit_code(errors: Iterable[Sa2vaError]) -> int:
    """The exit code of several jobs: an error that a second run may not have counts less than one that it will."""
    codes = {error.exit_code for error in errors}
    return next((code for code in (1, 130, 3, 75) if code in codes), 0)


class JobSpecError(Sa2vaError):
    """The job itself is wrong: a field, a range, two objects of one name, a version that is too new."""


class MediaError(Sa2vaError):
    """A plate that is missing, unreadable or not what the job says."""


class ColourError(Sa2vaError):
    """An unknown colour space, a configuration that does not load."""


class PhraseError(Sa2vaError):
    """The engine does not understand a phrase; the hint lists what it does understand."""


class ModelError(Sa2vaError):
    """Weights that are missing, incomplete, altered or of another kind."""


class EngineError(Sa2vaError):
    """The engine failed while it was running: no such device, out of memory, numbers that are not finite."""


class OutputError(Sa2vaError):
    """Results that cannot be written, for now at least: no space, a disk that fails."""

    exit_code = 75


class UnwritableError(OutputError):
    """Results that cannot be written there at all: no permission, a name that is too long or taken."""

    exit_code = 1


class ResultError(Sa2vaError):
    """Results of an earlier job that are missing, damaged, in the way, or of a later version."""


class QualityError(Sa2vaError):
    """The job went well and its results are there, but the QC scores them below what was asked for."""

    exit_code = 3


class WorkerError(Sa2vaError):
    """The background process cannot be started, reached or understood."""

    exit_code = 75


class Cancelled(Sa2vaError):
    """The user stopped the job. What was finished is kept, and the same job goes on from there."""

    exit_code = 130
