"""For tests without a key and without a network: a scripted server, and cassettes of real exchanges.

with motet.testing.ScriptedServer(["<|channel|>final<|message|>Hi!<|return|>"]) as server:
    brain = motet.atom("together/gpt-oss/120b", base_url=server.url)
    assert brain.ask("Hello").output == "Hi!"
"""

try:
    import aiohttp as _aiohttp  # noqa: F401
    import httpx as _httpx  # noqa: F401
    import pydantic as _pydantic  # noqa: F401
except ImportError as error:
    from motet.errors import ConfigError

    raise ConfigError("motet.testing needs its extra: pip install 'motet[testing]'") from error

from motet.testing.cassette import Cassette, CassetteMissError
from motet.testing.script import FAULTS, Fault, Turn
from motet.testing.server import Received, ScriptedServer

__all__ = ["FAULTS", "Cassette", "CassetteMissError", "Fault", "Received", "ScriptedServer", "Turn"]
