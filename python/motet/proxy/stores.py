"""Chooses where the state of a proxy is kept, by an address or a path."""

from __future__ import annotations

from pathlib import Path

from motet.errors import ConfigError
from motet.proxy.sqlite_state import SqliteState
from motet.proxy.state import State

__all__ = ["open_state"]

_REDIS = ("redis", "rediss", "unix")
_POSTGRESQL = ("postgresql", "postgres")


def open_state(place: str | Path | None) -> State:
    """A state in Redis or PostgreSQL by its address, in a file by its path, or in memory. Raises `ConfigError`."""
    if not isinstance(place, str) or "://" not in place:
        return SqliteState(place)
    scheme = place.partition("://")[0]
    if scheme in _REDIS:
        from motet.proxy.redis_state import RedisState

        return RedisState(place)
    if scheme in _POSTGRESQL:
        from motet.proxy.postgresql_state import PostgresqlState

        return PostgresqlState(place)
    raise ConfigError(f"the state is kept in redis:// or postgresql://, or in a file, and not in {scheme!r}")
