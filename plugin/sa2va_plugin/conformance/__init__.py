"""What every host adapter must do, as tests that run against one.

A host's own tests make a :class:`HostUnderTest` of its adapter and a subclass of :class:`AdapterConformance`; both run
inside the host's Python with the standard library alone. :mod:`.toy` is the smallest adapter that passes.
"""

from .suite import AdapterConformance, HostUnderTest

__all__ = ["AdapterConformance", "HostUnderTest"]
