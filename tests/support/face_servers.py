"""A scripted server with each face, an atom for each, and the ways to ask it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import motet
from motet.testing import ScriptedServer
from motet.testing.server.faces import FACES
from tests.support.fault_cases import Outcome, outcome
from tests.support.server_scripts import KEY

MODEL = "openai/gpt-oss-120b"
FREE = {"input": "0.1", "output": "0.5"}
LANES: Final = {
    name: "ids" if name in ("vllm", "sglang") else "text" if name == "llamacpp" else "chat" for name in FACES
}
"""The lane that each face gets by itself."""
ASKED = ("ask", "aask", "stream", "astream")
RUN = ("run", "arun", "run_stream", "arun_stream")


class FaceServers:
    """Servers and atoms that serve all tests of a module, and the event loop of the atoms' async clients."""

    def __init__(self, **settings: Any) -> None:
        self._settings = settings
        self._open: dict[tuple[str, str], tuple[motet.Atom, ScriptedServer]] = {}
        self.runner = asyncio.Runner()

    def asking(self, face: str, *script: Any, lane: str = "auto") -> tuple[motet.Atom, ScriptedServer]:
        """The atom and the server of a face, with a new script."""
        if (face, lane) not in self._open:
            self._open[face, lane] = self._opened(face, lane)
        atom, server = self._open[face, lane]
        server.requests.clear()
        server._script = iter(script)
        return atom, server

    def _opened(self, face: Any, lane: Any) -> tuple[motet.Atom, ScriptedServer]:
        server = ScriptedServer([], face=face, **self._settings).start()
        # Hosted services are recognised by their hosts, and own servers are asked only where the lane depends on it.
        service = {"service": face} if lane == "chat" or face in ("groq", "openrouter", "together") else {}
        return motet.atom(MODEL, base_url=server.base_url, api_key=KEY, price=FREE, lane=lane, **service), server

    def ask(self, atom: motet.Atom, how: str, prompt: str = "Why is the sky blue?", **options: Any) -> Outcome:
        return outcome(atom, how, prompt, self.runner, **options)

    def run(self, atom: motet.Atom, how: str, tools: list[Callable[..., Any]], **options: Any) -> motet.Run:
        """A run, in one of `RUN`."""
        prompt, options = "How is the weather?", {"tools": tools, "allow_text_calls": True, **options}
        if how == "run":
            return atom.run(prompt, **options)
        if how == "run_stream":
            with atom.run(prompt, stream=True, **options) as stream:
                return stream.finish()

        async def run() -> motet.Run:
            if how == "arun":
                return await atom.arun(prompt, **options)
            async with atom.arun_stream(prompt, **options) as stream:
                return await stream.finish()

        return self.runner.run(run())

    @staticmethod
    @contextmanager
    def context(server: ScriptedServer, tokens: int) -> Iterator[None]:
        """A smaller context of a server, unknown to the atom."""
        before = server.face
        server.face = before.with_context(tokens)
        try:
            yield
        finally:
            server.face = before

    def close(self) -> None:
        for atom, server in self._open.values():
            self.runner.run(atom.aclose())
            server.close()
        self.runner.close()


def completion_requests(server: ScriptedServer) -> list[dict[str, Any]]:
    """The bodies of the requests for completions, without those for the list of models."""
    return [request.body for request in server.requests if request.method == "POST"]
