"""Batches where the system starts no threads."""

from __future__ import annotations

import subprocess
import sys

import pytest

NO_ROOM_FOR_A_STACK = """
import resource
import motet

texts = [f"text number {number}" for number in range(100)]
motet.encode_batch(texts, threads=1), motet.parse_batch(texts, threads=1)
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + 1_500_000, size + 1_500_000))
assert [list(ids) for ids in motet.encode_batch(texts, threads=8)] == [motet.encode(text) for text in texts]
assert [completion.text for completion in motet.parse_batch(texts, threads=8)] == texts
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space as Linux does")
def test_batches_run_where_no_thread_can_start() -> None:
    """A thread's stack takes 2 MiB of addresses, which the limit does not leave."""
    subprocess.run([sys.executable, "-c", NO_ROOM_FOR_A_STACK], check=True, timeout=60)
