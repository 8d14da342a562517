"""One thread for linear algebra on small blocks.

Blocks that fit the cache are multiplied fastest by one thread; several wait for each other, and on a busy machine they
made S-map twenty times slower.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController


@cache
def _controller() -> ThreadpoolController:
    """Find the linear algebra libraries that are loaded, once."""
    return ThreadpoolController()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep linear algebra within the block to one thread."""
    with _controller().limit(limits=1, user_api="blas"):
        yield
