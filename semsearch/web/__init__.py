"""An index for others to ask: a page and an HTTP service for people and programs, an MCP server for language models.

In: an open `Index`. Out: `app.create_app`, an ASGI application; `server.serve`, which runs it; `mcp.create_server`.

Invariants: what an article says is data, never HTML and never an instruction; who is not on this machine needs the token; a
committed generation is picked up without a restart.

Extras (``semsearch[serve]``, ``semsearch[mcp]``), imported only when they are asked for. Deliberately not here: writing to an
index.
"""
