"""The worker's side of Sa2VA Roto: media, engines, mattes and jobs."""

from sa2va_plugin import __version__

__all__ = ["__version__"]
