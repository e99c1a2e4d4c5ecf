"""An index directory that somebody made to do harm: nothing outside of it is read or written, nothing is run, no memory goes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest
from conftest import FakeEncoder
from helpers import build, found, write
from stores import edit

import semsearch
from semsearch.encoder.model import locate
from semsearch.errors import SemsearchError
from semsearch.store import database, pending
from semsearch.store.files import checksum
from semsearch.store.writer import Writer

MODES = ("hybrid", "dense", "lexical")


@pytest.fixture
def built(notes: Path, home: Path) -> Path:
    build(notes, home)
    return home


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "precious.txt").write_text("precious")
    return folder


def use(notes: Path, home: Path) -> None:
    """All that can be done with an index; errors of ours are right."""
    for act in (
        *(lambda mode=mode: found(home, "aid oil", mode=mode) for mode in MODES),
        lambda: semsearch.check(home, encoder=FakeEncoder()),
        lambda: semsearch.check(home, encoder=FakeEncoder(), repair=True),
        lambda: build(notes, home),
        lambda: semsearch.remove(notes / "one.md", home),
        lambda: build(notes, home, fresh=True),
    ):
        with suppress(SemsearchError):
            act()


def listing(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


NAMES = [
    "../outside/precious",
    "/etc/passwd",
    "..",
    "segment-../../x",
    "segment-0123456789abcdef/../..",
    "",
    "\0",
    "segment-" + "a" * 16,
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("table", ["segments", "lexical"])
def test_names_lead_nowhere(notes, built, outside, name, table):
    edit(built, f"UPDATE {table} SET name = ?", name)
    edit(built, f"UPDATE {table} SET files = replace(files, 'segment-', ?)", name)
    before = listing(outside)
    use(notes, built)
    assert listing(outside) == before


@pytest.mark.parametrize(
    "files",
    [
        '[["../../outside/precious.txt", 8, ""]]',
        '[["/etc/passwd", 1, ""]]',
        "[" * 100_000,
        '[["a", 1e400, ""]]',
        '[[1, "x", null]]',
        "{}",
        "null",
        '"x"',
        "[[], []]",
    ],
)
@pytest.mark.parametrize("table", ["segments", "lexical"])
def test_lists_of_files_lead_nowhere(notes, built, outside, files, table):
    edit(built, f"UPDATE {table} SET files = ?", files)
    before = listing(outside)
    use(notes, built)
    assert listing(outside) == before


def test_links_are_not_followed(notes, home, outside):
    """Of the index's own files; a folder of articles may lie behind a link, and so may the index directory as a whole."""
    before = listing(outside)
    for kind in ("semsearch.sqlite", "pending.sqlite", "segment", "lexical", "file of lexical"):
        build(notes, home, fresh=True)
        path = {
            "segment": next(home.glob("segment-*.vectors")),
            "lexical": next(home.glob("lexical-*")),
            "file of lexical": next(home.glob("lexical-*/meta.json")),
        }.get(kind, home / kind)
        target = outside / "target"
        if path.exists():
            path.rename(target)
        path.symlink_to(target)
        kept = listing(outside)
        use(notes, home)
        assert listing(outside) == kept, kind
        if target.is_dir():
            for file in target.iterdir():
                file.unlink()
            target.rmdir()
        target.unlink(missing_ok=True)
        if path.is_symlink():
            path.unlink()
    assert listing(outside) == before
    (home.parent / "link").symlink_to(home)
    build(notes, home.parent / "link", fresh=True)
    assert len(found(home.parent / "link", "aid")) == 4


def test_tantivy_removes_nothing_that_a_list_names(notes, built, outside):
    """It removes what stands in its list of files and is not in use, wherever that is."""
    from semsearch.store import words

    with pytest.MonkeyPatch.context() as patch:
        # Go on from the folder that is there.
        patch.setattr(words, "TRUE_ROWS", 0)
        patch.setattr(words, "TOLERATED", 0)
        path = next(built.glob("lexical-*/.managed.json"))
        path.unlink()
        path.write_text(json.dumps([str(outside / "precious.txt"), "../../outside/precious.txt", "meta.json"]))
        files = json.loads(one(built, "SELECT files FROM lexical"))
        for file in files:
            if file[0] == ".managed.json":
                file[1:] = [path.stat().st_size, checksum(path.read_bytes())]
        edit(built, "UPDATE lexical SET files = ?", json.dumps(files))
        write(notes, "three.md", "council")
        before = listing(outside)
        use(notes, built)
        assert listing(outside) == before


def one(home: Path, statement: str):
    with closing(database.connect_to_write(home)) as opened:
        return database.one(opened, statement)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER t AFTER UPDATE ON meta BEGIN SELECT load_extension('/tmp/x'); END",
        "CREATE VIEW v AS SELECT writefile('/tmp/semsearch-was-here', 'x')",
        "CREATE TABLE extra AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 10) SELECT * FROM n",
        "CREATE INDEX slow ON passages (length(text))",
        "ALTER TABLE passages ADD COLUMN more TEXT GENERATED ALWAYS AS (hex(zeroblob(100000000)))",
    ],
)
def test_a_database_with_more_in_it_than_ours_is_refused(notes, built, statement):
    edit(built, statement)
    for mode in MODES:
        with pytest.raises(semsearch.IndexCorrupt, match="its tables are not ours"):
            found(built, "aid", mode=mode)
    with pytest.raises(semsearch.IndexCorrupt, match="its tables are not ours"):
        build(notes, built)
    assert build(notes, built, fresh=True)[0].passages == 4
    assert not Path("/tmp/semsearch-was-here").exists()


def test_views_in_place_of_tables_are_refused(built):
    edit(built, "ALTER TABLE passages RENAME TO real")
    edit(built, "CREATE VIEW passages AS SELECT * FROM real")
    with pytest.raises(semsearch.IndexCorrupt, match="its tables are not ours"):
        semsearch.open(built)


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"


def replace_meta(home: Path, query: str) -> None:
    edit(home, "ALTER TABLE meta RENAME TO former")
    edit(home, f"CREATE VIEW meta AS {query}")


def refused(home: Path) -> None:
    """Check that neither a reader nor a writer takes a database with other tables, and that `semsearch.check` reports it."""
    for opened in (semsearch.open, Writer):
        with pytest.raises(semsearch.IndexCorrupt, match="its tables are not ours"):
            opened(home)
    assert ["its tables are not ours" in damage.what for damage in semsearch.check(home).problems] == [True]


@pytest.mark.parametrize("version", [1, 2, 3, 4, 5])
def test_an_earlier_format_with_more_in_it_than_its_own_is_refused(tmp_path, root, version):
    shutil.copytree(root / "tests" / "data" / f"format-{version}" / "index", tmp_path / "index")
    edit(tmp_path / "index", "CREATE VIEW more AS SELECT 1")
    refused(tmp_path / "index")


@pytest.mark.parametrize("version", [1, 5])
def test_metadata_of_an_earlier_format_is_not_read_from_a_view(tmp_path, root, version):
    shutil.copytree(root / "tests" / "data" / f"format-{version}" / "index", tmp_path / "index")
    replace_meta(tmp_path / "index", "SELECT key, value FROM former")
    refused(tmp_path / "index")


def test_an_index_of_a_later_format_with_a_view_as_metadata_is_refused(built):
    edit(built, "UPDATE meta SET value = '1000' WHERE key = 'format'")
    with pytest.raises(semsearch.IndexTooNew):
        semsearch.open(built)
    replace_meta(built, "SELECT key, value FROM former")
    with pytest.raises(semsearch.IndexCorrupt, match="its tables are not ours"):
        semsearch.open(built)


def test_metadata_without_end_is_not_read_to_its_end(built):
    edit(built, f"INSERT INTO meta {ENDLESS} SELECT 'key' || i, '' FROM n LIMIT 300000")
    with pytest.raises(semsearch.IndexCorrupt, match="its metadata has too many rows"):
        semsearch.open(built)


def test_what_an_interrupted_build_left_is_not_read_from_a_view(notes, built):
    """A view without end by the name of each table of the cache of embeddings."""
    for table, columns in {"meta": 2, "texts": 4, "segments": 3, "places": 3}.items():
        left = built / "pending.sqlite"
        left.unlink(missing_ok=True)
        with closing(database.connect(left, "mode=rwc")) as opened:
            database.lay_out(opened)
            for statement in filter(str.strip, pending._SCHEMA.split(";")):
                if f"TABLE {table} " not in statement:
                    opened.execute(statement)
            opened.execute(f"CREATE VIEW {table} AS {ENDLESS} SELECT {', '.join(['i'] * columns)} FROM n")
        semsearch.check(built, encoder=FakeEncoder())
        semsearch.check(built, encoder=FakeEncoder(), repair=True)
        assert build(notes, built)[0].unchanged == 2


HUGE = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from conftest import FakeEncoder
import numpy, faiss, tantivy, semsearch
from semsearch.encoder.model import locate
from semsearch.errors import SemsearchError
room = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + 300 * 2**20
resource.setrlimit(resource.RLIMIT_AS, (room, room))
for use in (
    lambda: semsearch.open(sys.argv[2], encoder=FakeEncoder()).search("aid"),
    lambda: semsearch.open(sys.argv[2]).search("aid"),
    lambda: semsearch.check(sys.argv[2], encoder=FakeEncoder()),
):
    try:
        use()
        print("answered")
    except SemsearchError as error:
        print(type(error).__name__)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is limited by way of Linux")
@pytest.mark.parametrize(
    "statements",
    [
        [
            "ALTER TABLE meta RENAME TO former",
            f"CREATE VIEW meta AS {ENDLESS} SELECT i AS key, hex(zeroblob(1000)) AS value FROM n",
        ],
        ["ALTER TABLE meta RENAME TO former", f"CREATE VIEW meta AS {ENDLESS} SELECT i AS key, '' AS value FROM n WHERE i < 0"],
        ["UPDATE segments SET n_rows = 4000000000000"],
        ["UPDATE segments SET n_rows = 4000000000000, live = 4000000000000, first_row = 4000000000"],
        ["UPDATE segments SET n_rows = -1"],
        ["UPDATE meta SET value = json_set(value, '$.dimension', 1000000000000) WHERE key = 'fingerprint'"],
        ["UPDATE meta SET value = json_set(value, '$.dimension', -5) WHERE key = 'fingerprint'"],
        ["UPDATE meta SET value = json_set(value, '$.max_tokens', 'x') WHERE key = 'fingerprint'"],
        ["UPDATE embeddings SET row = row + 9000000000000000000"],
    ],
)
def test_numbers_take_no_memory(built, root, statements):
    for statement in statements:
        edit(built, statement)
    done = subprocess.run(
        [sys.executable, "-c", HUGE, str(root / "tests"), str(built)],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = done.stdout.split()
    assert len(lines) == 3
    assert set(lines) <= {"IndexCorrupt", "ModelMismatch", "ModelUnavailable", "answered", "InputError"}, lines


def test_no_pickle_is_ever_loaded(built):
    path = next(built.glob("segment-*.vectors"))
    path.unlink()
    with path.open("wb") as file:
        np.save(file, np.array([{}, {}], dtype=object), allow_pickle=True)
    files = json.loads(one(built, "SELECT files FROM segments"))
    for file in files:
        if file[0] == path.name:
            file[1:] = [path.stat().st_size, checksum(path.read_bytes())]
    edit(built, "UPDATE segments SET files = ?", json.dumps(files))
    with pytest.raises(semsearch.IndexCorrupt, match="not those of the index"):
        found(built, "aid")


HUB = """
import http.server, json, os, subprocess, sys, threading
asked = []
class Hub(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        asked.append(self.path)
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()
    do_HEAD = do_POST = do_GET
    def log_message(self, *_): pass
hub = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
threading.Thread(target=hub.serve_forever, daemon=True).start()
environment = {**os.environ, "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}", "HF_HOME": sys.argv[2]}
told = []
for arguments in (["ask", "aid"], ["check"], ["index", sys.argv[3]]):
    command = [sys.executable, "-m", "semsearch", *arguments, "--index", sys.argv[1]]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    told.append([done.returncode, done.stdout + done.stderr])
print(json.dumps([asked, told]))
"""


def test_a_model_that_an_index_names_is_not_asked_of_the_hub(notes, built, tmp_path):
    edit(built, "UPDATE meta SET value = json_set(value, '$.model', 'attacker/beacon') WHERE key = 'fingerprint'")
    write(notes, "three.md", "council")
    done = subprocess.run(
        [sys.executable, "-c", HUB, str(built), str(tmp_path / "hub"), str(notes)], capture_output=True, text=True, check=True
    )
    requests, told = json.loads(done.stdout)
    assert requests == []
    for code, text in told:
        assert code != 0
        assert "to download it, run semsearch index SOURCE... --model attacker/beacon" in text


@pytest.mark.parametrize("name", ["//attacker/share", "\\\\attacker\\share", "model", "../model", "~", "a/b/c", "", "\0"])
def test_a_model_that_an_index_names_is_no_relative_or_remote_folder(name, tmp_path, monkeypatch):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(semsearch.ModelUnavailable, match=r"not on this machine|no model at"):
        locate(name, stored=True)


def test_a_folder_that_an_index_names_is_not_searched_for_a_model(built, monkeypatch):
    """It could be ``/``."""
    edit(built, "UPDATE meta SET value = json_set(value, '$.model', '/') WHERE key = 'fingerprint'")
    monkeypatch.setattr(Path, "rglob", lambda *_: pytest.fail("all files were listed"))
    with pytest.raises(semsearch.ModelUnavailable, match="no model in /"):
        semsearch.open(built)
