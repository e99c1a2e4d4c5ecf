"""``semsearch serve`` and ``semsearch mcp``: an index for others to ask.

Deliberately not here: what they answer (`semsearch.web`).
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

import click

from semsearch.cli.output import index_option, json_option, note, open_or_build, print_json
from semsearch.errors import InputError, MissingExtra

if TYPE_CHECKING:
    from semsearch.index import Index

__all__ = ["mcp", "serve"]

_LOCAL = "127.0.0.1"
TOKEN = "SEMSEARCH_TOKEN"  # noqa: S105 (its name)

_host = click.option(
    "--host",
    default=_LOCAL,
    show_default=True,
    envvar="SEMSEARCH_HOST",
    show_envvar=True,
    help="Address to listen on; any but this machine's own needs a token.",
)
_token = click.option(
    "--token", envvar=TOKEN, show_envvar=True, metavar="TEXT", help=f"What who asks has to give; better set {TOKEN}."
)
_allow_host = click.option(
    "--allow-host", "hosts", multiple=True, metavar="NAME", help="A name by which it is called. Again for more."
)


@click.command()
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@index_option
@_host
@click.option("--port", default=8765, show_default=True, type=click.IntRange(0, 65_535), help="0 for any that is free.")
@_token
@_allow_host
@click.option("--open", "opens", is_flag=True, help="Open the page in a browser.")
@json_option
def serve(
    sources: Sequence[str],
    path: str,
    host: str,
    port: int,
    token: str | None,
    hosts: Sequence[str],
    opens: bool,
    as_json: bool,
) -> None:
    """Serve an index: a page for people, HTTP for programs.

    With SOURCE, the index is made or refreshed from it first. Without one, and without an index, ./seeds is indexed. What is
    indexed meanwhile is picked up. Stop it with Ctrl-C.
    """
    _need("serve", "fastapi", "uvicorn")
    from semsearch.web.app import create_app
    from semsearch.web.server import address, listening
    from semsearch.web.server import serve as run

    _check(host, token)
    # What cannot be listened on is told before anything is indexed.
    with listening(host, port) as listener, open_or_build(sources, path) as index:

        def ready() -> None:
            _tell_ready(index, address(listener), as_json=as_json)
            if opens:
                click.launch(address(listener))

        run(create_app(index, token=token, hosts=hosts), listener, ready=ready)


@click.command()
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@index_option
@click.option("--http", is_flag=True, help="Streamable HTTP at /mcp in place of standard input and output.")
@_host
@click.option("--port", default=8766, show_default=True, type=click.IntRange(0, 65_535), help="0 for any that is free.")
@_token
@_allow_host
@json_option
def mcp(
    sources: Sequence[str],
    path: str,
    http: bool,
    host: str,
    port: int,
    token: str | None,
    hosts: Sequence[str],
    as_json: bool,
) -> None:
    """Let a language model ask an index, by the Model Context Protocol.

    Reads and writes standard input and output, as a client starts it, or serves streamable HTTP. With SOURCE, the index is made
    or refreshed from it first.
    """
    _need("mcp", "mcp")
    from semsearch.web.mcp import create_http_app, create_server

    if not http:
        if as_json:
            raise InputError("--json tells where it listens, and without --http it does not: leave one out or add the other")
        with open_or_build(sources, path) as index:
            create_server(index).run("stdio")
        return
    from semsearch.web.server import address, listening
    from semsearch.web.server import serve as run

    _check(host, token)
    with listening(host, port) as listener, open_or_build(sources, path) as index:
        url = f"{address(listener)}mcp"
        run(create_http_app(index, token=token, hosts=hosts), listener, ready=lambda: _tell_ready(index, url, as_json=as_json))


def _tell_ready(index: Index, url: str, *, as_json: bool) -> None:
    """Where it answers, as a note; or as JSON, for who starts it and reads the first line."""
    counts = index.status()
    if as_json:
        print_json({"url": url, "articles": counts["articles"], "passages": counts["passages"]})
    else:
        note(f"{counts['articles']:,} articles, {counts['passages']:,} passages at {url} (stop with Ctrl-C)")


def _need(extra: str, *packages: str) -> None:
    if missing := [package for package in packages if find_spec(package) is None]:
        raise MissingExtra(f'semsearch {extra} needs {" and ".join(missing)}: python -m pip install "semsearch[{extra}]"')


def _check(host: str, token: str | None) -> None:
    from semsearch.web.guard import is_local

    if token is not None and not (token.isascii() and token.isprintable() and token.strip()):
        raise InputError("the token must be of printable ASCII: give another one")
    if not is_local(host) and not token:
        raise InputError(f"{host} can be reached from other machines: set {TOKEN} to a secret, or leave --host out")
