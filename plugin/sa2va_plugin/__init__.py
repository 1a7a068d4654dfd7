"""What runs inside a host application: standard library only, Python 3.7."""

__version__ = "0.1.0"
