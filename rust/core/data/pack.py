"""Pack a `.tiktoken` vocabulary into `merges.z`. Run as `python pack.py o200k_base.tiktoken`.

Every token of more than one byte is the merge of two earlier ones, its parents: its bytes, encoded with the earlier ranks
alone, are exactly those two. So two ranks define a token. The file holds, deflated: the 256 single bytes in the order of
their ranks, then the left parents of all further tokens, then the right parents, each as three planes of bytes (low,
middle, high).
"""

import base64
import sys
import zlib
from array import array
from pathlib import Path


def parents(token: bytes, rank: int, ranks: dict[bytes, int]) -> tuple[int, int]:
    parts = [token[at : at + 1] for at in range(len(token))]
    while len(parts) > 2:
        merges = [(ranks.get(parts[at] + parts[at + 1], rank), at) for at in range(len(parts) - 1)]
        best, at = min(merges)
        if best == rank:
            raise SystemExit(f"token {rank} is not the merge of two earlier ones")
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return ranks[parts[0]], ranks[parts[1]]


def planes(values: array) -> bytes:
    raw = values.tobytes()
    return raw[0::4] + raw[1::4] + raw[2::4]


def main(path: str) -> None:
    tokens = [base64.b64decode(line.split()[0]) for line in Path(path).read_bytes().splitlines()]
    ranks = {token: rank for rank, token in enumerate(tokens)}
    left, right = array("I"), array("I")
    for rank, token in enumerate(tokens[256:], 256):
        first, second = parents(token, rank, ranks)
        left.append(first)
        right.append(second)
    packed = zlib.compress(b"".join(tokens[:256]) + planes(left) + planes(right), 9)
    Path(__file__).with_name("merges.z").write_bytes(packed)


if __name__ == "__main__":
    main(sys.argv[1])
