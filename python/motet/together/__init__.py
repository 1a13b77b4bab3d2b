"""Together's service, and others that speak its API, over the Together SDK: the only place that imports it."""

try:
    import together as _sdk  # noqa: F401
except ImportError as error:
    from motet.errors import ConfigError

    raise ConfigError("asking a model needs the Together SDK: pip install 'motet[together]'") from error

from motet.together.backend import Backend

__all__ = ["Backend"]
