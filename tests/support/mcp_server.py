"""An MCP server with tools of each kind of result. `python mcp_server.py` speaks over stdio, `... PORT` over HTTP."""

from __future__ import annotations

import sys

from mcp.server.mcpserver import Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError

server = MCPServer("test", log_level="ERROR")


@server.tool()
def add(a: int, b: int) -> str:
    """Adds two numbers."""
    return str(a + b)


@server.tool(name="Web Search/v2")
def search(query: str) -> str:
    """Searches."""
    return f"found {query}"


@server.tool()
def fail() -> str:
    """Fails."""
    raise ToolError("no such file")


@server.tool()
def picture() -> Image:
    """Draws."""
    return Image(data=b"\x89PNG", format="png")


if __name__ == "__main__":
    if sys.argv[1:]:
        server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
    else:
        server.run()
