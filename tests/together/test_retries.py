"""Deadlines and retries, with a clock that tests move."""

from __future__ import annotations

import asyncio
import email.utils
import time
from typing import Any

import httpx
import pytest
import together

import motet
from motet.backend import Attempt
from motet.together.errors import from_exception
from tests.support.fake_clock import FakeClock
from tests.support.fault_cases import (
    DONE,
    FINISH,
    HOWS,
    PING,
    REQUEST,
    ROLE,
    TOKEN,
    InMemoryService,
    check_error,
    drive,
    exchange,
    outcome,
    refusal,
)
from tests.support.server_scripts import KEY

pytestmark = pytest.mark.usefixtures("quick")


@pytest.mark.parametrize(
    ("timeout", "first", "reads", "passed", "named"),
    [
        (5, None, [100], 5, "timeout=5"),
        (None, 3, [100], 3, "first_token_timeout=3"),
        (5, 3, [100], 3, "first_token_timeout=3"),
        (3, 5, [100], 3, "timeout=3"),
        (5, None, [1, PING] * 100, 5, "timeout=5"),
        (None, 3, [1, PING] * 100, 3, "first_token_timeout=3"),
        (None, 3, [1, ROLE, 1, PING] * 100, 3, "first_token_timeout=3"),
        (5, None, [1, TOKEN] * 100, 5, "timeout=5"),
        (5, 3, [2, TOKEN, 100], 5, "timeout=5"),
        (5, 3, [2, TOKEN, 2.5, PING, 2.5, PING], 5, "timeout=5"),
        (0.001, None, [0.001, TOKEN], 0.001, "timeout=0.001"),
        # In time, the last of them for want of usage only.
        (None, 3, [2, TOKEN, 100, TOKEN, FINISH, DONE], None, ""),
        (None, None, [1e6, PING, 1e6, TOKEN, FINISH, DONE], None, ""),
        (5, 3, [2, TOKEN, 2, FINISH, DONE], None, ""),
        (5, 3, [2, TOKEN, 2, FINISH, 100], None, ""),
        (5, None, [2, TOKEN, 2, FINISH, 0.5, PING, 0.5, PING, 0.5, PING], None, ""),
    ],
)
def test_deadlines(
    timeout: float | None, first: float | None, reads: list[Any], passed: float | None, named: str
) -> None:
    clock = FakeClock()
    machine = exchange(clock=clock, timeout=timeout, first_token_timeout=first)
    began = clock.time
    events, error = drive(machine, reads)
    if passed is None:
        assert error is None
        assert machine.reply.finish == "stop"
        return
    assert clock.time - began == pytest.approx(passed)
    checked_error = check_error(error, motet.RequestTimeoutError, retryable=True, attempts=(Attempt("200"),))
    assert f"within {named} s" in str(checked_error)
    assert "".join([event.delta for event in events]) == machine.reply.completion.text
    assert (checked_error.partial is None) == (events == [])


WAITS: list[tuple[dict[str, str], float | None]] = [
    ({}, None),
    ({"retry_after": "7"}, 7),
    ({"retry_after": "0"}, 0),
    ({"retry_after": "0.25"}, 0.25),
    ({"retry_after": " 2 "}, 2),
    ({"retry_after": "60"}, 60),
    ({"retry_after": "61"}, 61),
    ({"retry_after": "3600"}, 3600),
    ({"retry_after": "1e9"}, 1e9),
    ({"retry_after": "-5"}, None),
    ({"retry_after": "inf"}, None),
    ({"retry_after": "-inf"}, None),
    ({"retry_after": "nan"}, None),
    ({"retry_after": "1e999"}, None),
    ({"retry_after": ""}, None),
    ({"retry_after": "soon"}, None),
    ({"retry_after": "5 s"}, None),
    ({"retry_after": "0x10"}, None),
    ({"retry_after": "Wed, 45 Foo 2026 99:99:99 GMT"}, None),
    ({"retry_after": "Wed, 21 Oct 99999 07:28:00 GMT"}, None),
    ({"retry_after": "Wed, 21 Oct 2015 07:28:00 +9999999999"}, None),
    ({"retry_after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
    ({"retry_after": "Sun Nov  6 08:49:37 1994"}, 0),
    ({"retry_after_ms": "1500"}, 1.5),
    ({"retry_after_ms": "1500", "retry_after": "9"}, 1.5),
    ({"retry_after_ms": "later", "retry_after": "9"}, 9),
    ({"retry_after_ms": "-1"}, None),
    ({"retry_after_ms": "nan"}, None),
]


@pytest.mark.parametrize("timeout", [None, 100.0, 5.0, 0.0005])
@pytest.mark.parametrize("status", [429, 503, 529])
@pytest.mark.parametrize(("headers", "seconds"), WAITS)
def test_retry_after_values(headers: dict[str, str], seconds: float | None, status: int, timeout: float | None) -> None:
    waits: list[float] = []
    machine = exchange(timeout=timeout, retries=1)
    _, error = drive(machine, [TOKEN, FINISH, DONE], opens=[refusal(status, **headers)], waits=waits)
    kind = motet.RateLimitError if status == 429 else motet.OverloadedError
    expected = 0.001 if seconds is None else seconds
    if expected <= 60 and (timeout is None or expected < timeout):
        assert error is None
        assert waits == [seconds if seconds is not None else pytest.approx(0.000875, abs=0.000125)]
        assert machine.reply.attempts == (Attempt(str(status), waits[0]), Attempt("200"))
        assert machine.reply.time.total == pytest.approx(waits[0])
    elif seconds is None and error is None:
        # What motet itself would wait is shorter than the time that is left, or not, by chance.
        assert timeout is not None
        assert waits[0] < timeout
    else:
        check_error(error, kind, retry_after=seconds, status=status, attempts=(Attempt(str(status)),))
        assert waits == []


@pytest.mark.parametrize(("seconds", "retried"), [(30, True), (7200, False)])
def test_retry_after_dates(seconds: float, retried: bool) -> None:
    waits: list[float] = []
    date = email.utils.formatdate(time.time() + seconds, usegmt=True)
    _, error = drive(exchange(), [TOKEN, FINISH, DONE], opens=[refusal(429, retry_after=date)], waits=waits)
    question = waits[0] if retried else check_error(error, motet.RateLimitError).retry_after
    assert (error is None) == retried
    assert seconds - 20 < question <= seconds


@pytest.mark.parametrize("retries", [0, 1, 2, 5])
@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 524, 529])
def test_every_attempt_is_recorded(status: int, retries: int) -> None:
    for succeeding in range(retries + 2):
        waits: list[float] = []
        machine = exchange(retries=retries)
        _, error = drive(machine, [TOKEN, FINISH, DONE], opens=[refusal(status)] * succeeding, waits=waits)
        billable = status in (408, 504, 524)
        failed = [Attempt(str(status), wait, billable) for wait in waits]
        if succeeding <= retries:
            assert error is None
            assert machine.reply.attempts == (*failed, Attempt("200"))
        else:
            assert len(waits) == retries
            check_error(error, type(error), status=status, attempts=(*failed, Attempt(str(status), 0.0, billable)))


def test_service_can_forbid_retries() -> None:
    for status in (408, 429, 500, 503):
        waits: list[float] = []
        _, error = drive(exchange(), [], opens=[refusal(status, x_should_retry="false")], waits=waits)
        assert len(check_error(error, type(error), status=status).attempts) == 1
        assert waits == []


@pytest.mark.parametrize(
    ("cause", "kind", "attempts", "billable"),
    [
        (httpx.ConnectError("refused"), motet.ConnectionFailedError, 3, False),
        (httpx.ConnectTimeout("late"), motet.ConnectionFailedError, 3, False),
        (httpx.PoolTimeout("late"), motet.ConnectionFailedError, 3, False),
        (httpx.ProxyError("407"), motet.ConnectionFailedError, 3, False),
        (httpx.ReadError("reset"), motet.ConnectionFailedError, 3, True),
        (httpx.WriteError("pipe"), motet.ConnectionFailedError, 3, True),
        (httpx.RemoteProtocolError("hung up"), motet.ConnectionFailedError, 3, True),
        (httpx.LocalProtocolError("Illegal header value"), motet.ConnectionFailedError, 3, False),
        (httpx.UnsupportedProtocol("gopher"), motet.ConnectionFailedError, 3, False),
        (httpx.ReadTimeout("late"), motet.RequestTimeoutError, 1, True),
        (httpx.WriteTimeout("late"), motet.RequestTimeoutError, 1, True),
        (OSError("no route"), motet.ConnectionFailedError, 3, False),
        (RuntimeError("Event loop is closed"), motet.ConnectionFailedError, 3, False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
@pytest.mark.parametrize("how", HOWS)
def test_request_without_an_answer(
    how: str, cause: Exception, kind: type[motet.ApiError], attempts: int, billable: bool, runner: asyncio.Runner
) -> None:
    """D4, D21: three attempts if the request was not processed, or if that is unknown; one if it may be billed."""
    service = InMemoryService(cause)
    error = check_error(outcome(service.atom(), how, runner=runner).error, kind, status=None, partial=None, cost=None)
    assert [(value.outcome, value.may_be_billed) for value in error.attempts] == [(kind.__name__, billable)] * attempts
    assert len(service.requests) == attempts
    if isinstance(cause, httpx.ProxyError):
        assert "HTTP_PROXY" in str(error)


def test_causes_that_quote_the_key_are_dropped() -> None:
    """A traceback shows the causes of an error; the SDK's exceptions quote responses."""
    shown, hidden = together.APIConnectionError(request=REQUEST), together.APIConnectionError(request=REQUEST)
    shown.__cause__ = httpx.ConnectError("refused")
    hidden.__cause__ = httpx.LocalProtocolError(f"Illegal header value {KEY}")
    for cause, rest in ((shown, True), (hidden, False), (refusal(401), False), (refusal(307, location=KEY), False)):
        error = check_error(drive(exchange(retries=0), [], opens=[cause])[1], type(from_exception(cause, KEY)))
        assert (error.__cause__ is cause) == rest
