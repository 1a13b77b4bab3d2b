"""Tests without a key and a network: a scripted server, and cassettes of real exchanges.

with motet.testing.ScriptedServer(["<|channel|>final<|message|>Hi!<|return|>"]) as server:
    atom = motet.atom("together/gpt-oss/120b", base_url=server.url)
    assert atom.ask("Hello").output == "Hi!"
"""

from typing import TYPE_CHECKING

from motet._lazy import load

if TYPE_CHECKING:
    from motet.testing.cassette import Cassette, CassetteMissError
    from motet.testing.script import FAULTS, Fault, Turn
    from motet.testing.server.app import Received, ScriptedServer
    from motet.testing.server.batch_service import BatchService, BatchStage, batch_stages
    from motet.testing.server.storage import Storage
    from motet.testing.server.training_service import Stage, Training, TrainingService, stages

__all__ = [
    "FAULTS",
    "BatchService",
    "BatchStage",
    "Cassette",
    "CassetteMissError",
    "Fault",
    "Received",
    "ScriptedServer",
    "Stage",
    "Storage",
    "Training",
    "TrainingService",
    "Turn",
    "batch_stages",
    "stages",
]

_ROOMS = {
    "FAULTS": "script",
    "BatchService": "server.batch_service",
    "BatchStage": "server.batch_service",
    "Cassette": "cassette",
    "CassetteMissError": "cassette",
    "Fault": "script",
    "Received": "server.app",
    "ScriptedServer": "server.app",
    "Stage": "server.training_service",
    "Storage": "server.storage",
    "Training": "server.training_service",
    "TrainingService": "server.training_service",
    "Turn": "script",
    "batch_stages": "server.batch_service",
    "stages": "server.training_service",
}


def __getattr__(name: str) -> object:
    # pytest imports the plugin, and with it this package, wherever motet is installed, also without the extra.
    try:
        return load(globals(), name, _ROOMS)
    except ImportError as error:
        from motet.errors import ConfigError

        raise ConfigError("motet.testing needs its extra: pip install 'motet[together]'") from error
