"""The pytest plugin, and the names of the package."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import motet

pytest_plugins = ["pytester"]


def test_fixture_starts_and_stops_servers(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import httpx, motet, pytest

        urls = []

        def test_asking(motet_server):
            answers = "<|channel|>final<|message|>Hi!<|return|>"
            for server in (motet_server([answers]), motet_server(lambda _: answers, style="vllm")):
                urls.append(server.url)
                assert motet.atom("together/gpt-oss/120b", base_url=server.url).ask("Hello").output == "Hi!"

        def test_they_have_ended():
            assert len(urls) == 2
            for url in urls:
                with pytest.raises(httpx.ConnectError):
                    httpx.get(url)
        """
    )
    plugins = {item.value for item in entry_points(group="pytest11")}
    plugin = [] if "motet.testing.plugin" in plugins else ["-p", "motet.testing.plugin"]
    pytester.runpytest_subprocess("-W", "error", *plugin).assert_outcomes(passed=2)


def test_plugin_is_registered_with_pytest() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"motet": "motet.testing.plugin"}


def test_plugin_works_without_its_extra() -> None:
    """pytest loads it in every environment with motet."""
    program = f"""
import sys
sys.path.insert(0, {str(Path(motet.__file__).parent.parent)!r})
for name in ("aiohttp", "httpx", "pydantic", "together"):
    sys.modules[name] = None
import motet.testing.plugin, motet
assert motet.testing.plugin.motet_server
from motet.testing import Fault, Turn
try:
    motet.testing.ScriptedServer
except motet.ConfigError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.stderr) == ("motet.testing needs its extra: pip install 'motet[together]'", "")


def test_names_of_the_package_exist() -> None:
    import motet.testing

    for name in motet.testing.__all__:
        assert getattr(motet.testing, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        motet.testing.Nothing  # noqa: B018
