"""``python -m sa2va_core.worker``: how a host's launcher starts the worker."""

import sys

from sa2va_plugin.errors import Sa2vaError

from sa2va_core.worker.service import run_worker

if __name__ == "__main__":
    try:
        sys.exit(run_worker())
    except Sa2vaError as error:
        print(error, file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)
