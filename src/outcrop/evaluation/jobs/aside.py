"""Threads of evaluation jobs. Those that answer requests have others, and wait for none of these."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

THREADS = 2

_threads = ThreadPoolExecutor(THREADS, thread_name_prefix="evaluation")


async def aside(function: Callable[..., T], *arguments: object) -> T:
    """As `asyncio.to_thread`."""
    return await asyncio.get_running_loop().run_in_executor(_threads, function, *arguments)
