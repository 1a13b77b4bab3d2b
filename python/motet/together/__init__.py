"""Together's service, and others with its API, over the Together SDK. The only package that imports the SDK."""

try:
    import together as _sdk  # noqa: F401
except ImportError as error:
    from motet.errors import ConfigError

    raise ConfigError("asking a model needs the Together SDK: pip install 'motet[together]'") from error

from motet.together.backend import TogetherBackend
from motet.together.services import SERVICES, Service

__all__ = ["SERVICES", "Backend", "Service", "TogetherBackend"]

Backend = TogetherBackend
