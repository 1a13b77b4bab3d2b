"""The unit of systemd and the manifests of Kubernetes in the guide are read by parsers."""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
import subprocess
from configparser import RawConfigParser
from pathlib import Path
from typing import Any

import pytest

from motet.cli.commands import proxy

ROOT = Path(__file__).parent.parent.parent
GUIDE = (ROOT / "docs/guides/proxy.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    """The only block of this language in the guide."""
    (text,) = re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)
    return str(text)


def options_of(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(exit_on_error=False)
    proxy.add(parser)
    return parser.parse_args(words)


def test_unit_of_systemd_starts_the_proxy(tmp_path: Path) -> None:
    unit = RawConfigParser()
    unit.optionxform = str  # type: ignore[assignment]
    unit.read_string(block("ini").replace("\\\n", " "))
    assert set(unit.sections()) == {"Unit", "Service", "Install"}
    words = shlex.split(unit["Service"]["ExecStart"])
    assert words[:2] == ["/opt/motet/bin/motet", "proxy"]
    options = options_of(words[2:])
    assert (options.workers, options.host) == (4, "0.0.0.0")
    assert options.state.startswith("/var/lib/" + unit["Service"]["StateDirectory"])
    program = shutil.which("systemd-analyze")
    if program is not None:
        path = tmp_path / "motet-proxy.service"
        path.write_text(block("ini").replace("/opt/motet/bin/motet", "/bin/true"))
        verified = subprocess.run([program, "verify", str(path)], capture_output=True, text=True)
        assert "motet-proxy.service" not in verified.stderr, verified.stderr


def test_manifests_of_kubernetes_fit_together() -> None:
    yaml = pytest.importorskip("yaml", reason="needs PyYAML")
    documents: list[dict[str, Any]] = list(yaml.safe_load_all(block("yaml")))
    deployment, service = documents
    assert (deployment["kind"], service["kind"]) == ("Deployment", "Service")
    pod = deployment["spec"]["template"]
    assert deployment["spec"]["selector"]["matchLabels"] == pod["metadata"]["labels"] == service["spec"]["selector"]
    (container,) = pod["spec"]["containers"]
    port = container["ports"][0]["containerPort"]
    assert service["spec"]["ports"][0]["targetPort"] == port == proxy.PORT
    for probe in ("readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"] == {"path": "/health", "port": port}
    options = options_of(container["args"])
    assert {volume["name"] for volume in pod["spec"]["volumes"]} == {
        mount["name"] for mount in container["volumeMounts"]
    }
    assert f"$({container['env'][0]['name']})" == options.state
    assert options.key[0].startswith("@" + container["volumeMounts"][0]["mountPath"])


class FakeListener:
    """The port that the quick start shows."""

    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", proxy.PORT


def test_quick_start_of_the_readme_is_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## (.*)", readme, re.MULTILINE)
    assert headings[:2] == ["Install", "Serve clean APIs"], "the second quick start is the proxy"
    (text,) = re.findall(r"## Serve clean APIs\n.*?```console\n(.*?)```", readme, re.DOTALL)
    _, command, *printed = text.splitlines()
    options = options_of(shlex.split(command)[3:])
    proxy._greet(options, FakeListener())  # type: ignore[arg-type]
    assert capsys.readouterr().out.splitlines() == printed
