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


WAITING_THREADS = """
import random
import resource
import threading
import motet

def resident_mb():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() / 1e6

def encode_and_wait(text):
    motet.count(text)
    all_wait.wait()
    all_wait.wait()

words = bytes([b" abcdefghijklmnopqrstuvwxyz"[n % 27] if n % 6 else 32 for n in range(256)])
texts = [random.Random(n).randbytes(100_000).translate(words).decode() for n in range(40)]
motet.count(texts[0])
start, all_wait = resident_mb(), threading.Barrier(len(texts) + 1)
threads = [threading.Thread(target=encode_and_wait, args=[text]) for text in texts]
for thread in threads:
    thread.start()
all_wait.wait()
added = resident_mb() - start
all_wait.wait()
assert added < 64, added
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_threads_that_wait_share_the_caches_of_pretokens() -> None:
    """A cache of 4 MB for each of 40 threads would be 160 MB."""
    subprocess.run([sys.executable, "-c", WAITING_THREADS], check=True, timeout=60)
