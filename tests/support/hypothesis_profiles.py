"""The two ways in which hypothesis runs: the same examples in each `make test`, new ones in each `make fuzz`."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, settings

__all__ = ["examples"]

EXAMPLES = 300
"""The unit in which tests state their examples: half of them run in `make test`, ten times as many (by default) in `make fuzz`."""

# Derandomized and without a database, so that a failure is due to a change and not to luck.
settings.register_profile(
    "test",
    max_examples=EXAMPLES // 2,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
# A failure prints its input, which becomes an `@example` of the test or a case of the corpus.
settings.register_profile(
    "fuzz",
    max_examples=int(os.environ.get("HYPOTHESIS_EXAMPLES", 10 * EXAMPLES)),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "test"))


def examples(count: int, **more: Any) -> settings:
    """Settings for a test with `count` in place of `EXAMPLES`."""
    assert settings.default is not None
    return settings(max_examples=count * settings.default.max_examples // EXAMPLES, **more)
