"""Tools of MCP servers in tool loops, by the official SDK: `with motet.tools_from_mcp(server) as tools: ...`"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self, overload

from motet._context import AsyncClosing, Closing
from motet.errors import ConfigError, ToolConstraintError
from motet.schema.tool import Tool, tools_from

__all__ = ["McpTools", "tools_from_mcp"]


def tools_from_mcp(
    server: Any,
    *,
    names: Sequence[str] | None = None,
    prefix: str = "",
    timeout: float | None = None,
) -> McpTools:
    """The tools of an MCP server, for `tools=` of a run, within a `with` or an `async with` block.

    - `server`: the URL of a server (streamable HTTP); a command as a list, `["python", "server.py"]`, that is started
      and spoken to over stdio; a dict of a client's configuration, `{"command": ..., "args": [...], "env": {...}}` or
      `{"url": ...}`; or what `mcp.Client` takes, such as a transport with headers of its own.
    - `names`: the tools to take. Default: all.
    - `prefix`: is put before each name, so that tools of several servers stay apart.
    - `timeout`: seconds for a call. Default: no limit.

    The result of a call is its texts; pictures, sounds and files without text are named, not shown. A call that the
    server reports as failed is an error for the model to read. The connection belongs to a thread of its own, so that
    sync and async loops use it alike; leaving the block closes it, and ends a server that was started.

    Raises `ConfigError`, when the block begins, if the server does not answer or lacks one of `names`.
    """
    return McpTools(server, names=names, prefix=prefix, timeout=timeout)


class McpTools(Sequence[Tool], Closing, AsyncClosing):
    """The tools of a connected MCP server, in its order."""

    def __init__(
        self, server: Any, *, names: Sequence[str] | None = None, prefix: str = "", timeout: float | None = None
    ) -> None:
        self._server = server
        self._names = names
        self._prefix = prefix
        self._timeout = timeout
        self._tools: list[Tool] | None = None
        self._client: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()
        self._failure: BaseException | None = None

    @overload
    def __getitem__(self, index: int) -> Tool: ...
    @overload
    def __getitem__(self, index: slice) -> list[Tool]: ...
    def __getitem__(self, index: int | slice) -> Tool | list[Tool]:
        return self._connected()[index]

    def __len__(self) -> int:
        return len(self._connected())

    def __iter__(self) -> Iterator[Tool]:
        return iter(self._connected())

    def _connected(self) -> list[Tool]:
        if self._tools is None:
            raise ConfigError("the MCP server is not connected: use its tools within a `with` block")
        return self._tools

    def __enter__(self) -> Self:
        if self._thread is not None:
            raise ConfigError("the MCP server is connected already: one `with` block for one tools_from_mcp")
        target = _target(self._server)
        self._thread = threading.Thread(target=self._run, args=(target,), name="mcp", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            self.close()
            raise ConfigError(
                f"the MCP server {_title(self._server)} cannot be used: {_cause(self._failure)}"
            ) from self._failure
        try:
            self._check_names()
        except ConfigError:
            self.close()
            raise
        return self

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.__enter__)

    def close(self) -> None:
        """Closes the connection. A server that was started ends."""
        thread, self._thread, self._tools = self._thread, None, None
        if thread is not None:
            if self._loop is not None and self._end is not None and thread.is_alive():
                self._loop.call_soon_threadsafe(self._end.set)
            thread.join()

    async def aclose(self) -> None:
        """`close`, awaited."""
        await asyncio.to_thread(self.close)

    def _run(self, target: Any) -> None:
        # The SDK's task groups end in the task that began them, so one task holds the connection.
        try:
            asyncio.run(self._hold(target))
        except BaseException as error:
            self._failure = error
        finally:
            self._ready.set()

    async def _hold(self, target: Any) -> None:
        import mcp

        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        async with mcp.Client(target) as self._client:
            self._tools = [self._tool(description) for description in await self._list()]
            self._ready.set()
            await self._end.wait()

    async def _list(self) -> list[Any]:
        page = await self._client.list_tools()
        tools = list(page.tools)
        while page.next_cursor:
            page = await self._client.list_tools(cursor=page.next_cursor)
            tools += page.tools
        return [tool for tool in tools if self._names is None or tool.name in self._names]

    def _tool(self, description: Any) -> Tool:
        shape = {
            "name": self._prefix + description.name,
            "description": description.description or description.title or "",
            "inputSchema": description.input_schema,
        }
        (tool,) = tools_from([shape], self._dispatch(description.name))
        return replace(tool, timeout=self._timeout)

    def _dispatch(self, name: str) -> Callable[[str, dict[str, Any]], Any]:
        async def call(_: str, arguments: dict[str, Any]) -> Any:
            if self._tools is None or self._loop is None:
                raise ToolConstraintError("the MCP server is not connected any more")
            # Cancelling the future cancels the call at the server.
            sent = asyncio.run_coroutine_threadsafe(self._client.call_tool(name, arguments), self._loop)
            result = await asyncio.wrap_future(sent)
            text = "\n".join(map(_block_text, result.content))
            if result.is_error:
                raise ToolConstraintError(text or "the tool failed without a message")
            return result.structured_content if not text and result.structured_content is not None else text

        return call

    def _check_names(self) -> None:
        known = {tool.name.removeprefix(self._prefix) for tool in self._connected()}
        if missing := [name for name in self._names or () if name not in known]:
            listed = ", ".join(missing)
            raise ConfigError(f"the MCP server {_title(self._server)} has no tool {listed}; leave out names= for all")


def _target(server: Any) -> Any:
    """The server in the form that `mcp.Client` takes."""
    try:
        import mcp
    except ImportError as error:
        raise ConfigError("tools_from_mcp needs the MCP SDK: pip install 'motet[mcp]'") from error
    match server:
        case str() if server.startswith(("http://", "https://")):
            return server
        case {"url": str(url)}:
            return url
        case {"command": str(command)}:
            known = {name: server[name] for name in ("args", "env", "cwd") if server.get(name) is not None}
            return mcp.StdioServerParameters(command=command, **known)
        case [str(command), *arguments] if all(isinstance(word, str) for word in arguments):
            return mcp.StdioServerParameters(command=command, args=list(arguments))
        case str() | Mapping() | [*_]:
            forms = "a URL as 'http://localhost:8000/mcp', a command as ['python', 'server.py'], or a dict of these"
            raise TypeError(f"an MCP server must be {forms}, not {server!r:.200}")
    return server


def _title(server: Any) -> str:
    """How messages call a server: without its environment, which may hold keys."""
    match server:
        case {"url": url}:
            return str(url)
        case {"command": command}:
            return repr(command)
        case [command, *_]:
            return repr(command)
    return server if isinstance(server, str) else type(server).__name__


def _cause(error: BaseException) -> str:
    """The first error within groups of errors, which the SDK's task groups raise."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _block_text(block: Any) -> str:
    match getattr(block, "type", None):
        case "text":
            return str(block.text)
        case "resource" if getattr(block.resource, "text", None) is not None:
            return str(block.resource.text)
        case "resource":
            return f"[{block.resource.mime_type or 'file'} at {block.resource.uri}, which has no text]"
        case "resource_link":
            return f"[{block.name} at {block.uri}]"
        case kind:
            return f"[{kind}: {getattr(block, 'mime_type', None) or 'unknown type'}, which has no text]"
