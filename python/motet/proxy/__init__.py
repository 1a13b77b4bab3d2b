"""A proxy in front of servers of gpt-oss.

Clients speak Chat Completions, Responses or Anthropic's Messages, whatever the server speaks. `app` makes an ASGI
application; `motet proxy` serves one. `Upstream` describes a server, `ClientKey` a client's key with its budget, and
`State` is the protocol of what is kept between requests. Needs `pip install 'motet[proxy]'`.
"""

from __future__ import annotations

from motet.proxy.application import app
from motet.proxy.settings import ClientKey, ProxySettings, Upstream
from motet.proxy.state import KeptTurn, State, StateError, StoredResponse

__all__ = ["ClientKey", "KeptTurn", "ProxySettings", "State", "StateError", "StoredResponse", "Upstream", "app"]
