"""Run by Nuke's window alone. Whatever is wrong here must not keep Nuke from starting."""

import traceback

try:
    from sa2va_nuke import menus

    menus.install()
except Exception:  # noqa: BLE001
    traceback.print_exc()
