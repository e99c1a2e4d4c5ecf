"""Where options come from: the command line, the environment, a file, in this order; and which files are believed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import build, run, write

from semsearch.cli import main, settings
from semsearch.cli.output import VARIABLES

pytestmark = pytest.mark.usefixtures("no_model")


@pytest.fixture(scope="module")
def indexed(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("indexed")
    write(folder / "notes", "one.md", "aid, vaccine", "oil oil", title="First")
    write(folder / "notes", "two.md", "sword, battle, council", "gas", title="Second")
    build(folder / "notes", folder / "index")
    (folder / ".git").mkdir()
    return folder


@pytest.fixture
def folder(indexed: Path, tmp_path: Path, monkeypatch) -> Path:
    """A working directory with an index, which is the top of a repository."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    shutil.copytree(indexed, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def asked(*options: str, before: tuple[str, ...] = ()) -> dict:
    done = run(*before, "ask", "sword aid", "--json", *options)
    assert done.exit_code in (0, 1), done.stderr
    return json.loads(done.stdout)


def fails(*arguments: str) -> str:
    failed = run(*arguments)
    assert (failed.exit_code, failed.stdout) == (2, ""), failed.stdout
    assert len(failed.stderr.splitlines()) == 1
    return failed.stderr.removeprefix("semsearch: ").rstrip()


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_command_line_before_environment_before_file_before_default(folder: Path, monkeypatch):
    assert len(asked()["hits"]) == 4
    put(folder / "semsearch.toml", 'k = 3\nmode = "lexical"\n')
    assert (len(asked()["hits"]), asked()["mode"]) == (2, "lexical")
    monkeypatch.setenv("SEMSEARCH_K", "1")
    monkeypatch.setenv("SEMSEARCH_MODE", "dense")
    assert (len(asked()["hits"]), asked()["mode"]) == (1, "dense")
    assert (len(asked("-k", "2", "--mode", "hybrid")["hits"]), asked("--mode", "hybrid")["mode"]) == (2, "hybrid")
    assert asked(before=("--no-config",))["mode"] == "dense"


def test_the_file_is_told_unless_it_was_named(folder: Path, monkeypatch):
    put(folder / "semsearch.toml", "k = 1\n")
    assert run("ask", "sword").stderr == "semsearch: settings from semsearch.toml\n"
    assert run("-q", "ask", "sword").stderr == ""
    assert run("--config", "semsearch.toml", "ask", "sword").stderr == ""
    monkeypatch.setenv("SEMSEARCH_CONFIG", "semsearch.toml")
    assert run("ask", "sword").stderr == ""
    assert len(asked()["hits"]) == 1
    assert len(asked(before=("--no-config",))["hits"]) == 4
    assert "--config and --no-config are two" in fails("--config", "semsearch.toml", "--no-config", "status")


def test_tables_of_commands_and_lists(folder: Path):
    put(folder / "semsearch.toml", 'k = 3\nwhere = ["title=First", "source!=x"]\n[commands.ask]\nk = 1\n')
    assert [hit["title"] for hit in asked()["hits"]] == ["First"]
    put(folder / "semsearch.toml", 'where = "title=Second"\nper_article = 1\n[commands.index]\ncompact = true\n')
    assert [hit["title"] for hit in asked()["hits"]] == ["Second"]
    assert run("index", "notes", "--index", "small").exit_code == 0
    assert json.loads(run("status", "--index", "small", "--json").stdout)["compact"]


def test_what_is_measured_depends_on_its_own_table_alone(folder: Path):
    from semsearch.cli.settings import settings_of

    put(folder / "semsearch.toml", 'k = 1\nindex = "index"\nmode = "dense"\n[commands.eval]\nsplit = "dev"\n')
    settings, _ = settings_of(main, None)
    assert settings["eval"] == {"split": "dev"}
    assert settings["ask"] == {"k": 1, "path": "index", "mode": "dense"}
    assert settings["status"] == {"path": "index"}


def test_where_files_are_looked_for(folder: Path, monkeypatch):
    inner = folder / "a" / "b"
    inner.mkdir(parents=True)
    put(folder / "semsearch.toml", "k = 3\n")
    put(folder / "pyproject.toml", "[tool.semsearch]\nk = 1\n")
    # A file of its own goes before pyproject.toml, a nearer one before one further up, and one about other things does not count.
    monkeypatch.chdir(inner)
    index = ("--index", "../../index")
    assert len(asked(*index)["hits"]) == 3
    put(folder / "a" / "pyproject.toml", "[tool.semsearch]\nk = 2\n")
    put(inner / "pyproject.toml", '[project]\nname = "semsearch-user"\n')
    assert run("ask", "sword", *index).stderr == "semsearch: settings from ../pyproject.toml\n"
    assert len(asked(*index)["hits"]) == 2
    # Nothing above the top of a repository is looked at, nor above the user's home.
    (inner / ".git").mkdir()
    assert len(asked(*index)["hits"]) == 4
    (inner / ".git").rmdir()
    monkeypatch.setattr(Path, "home", lambda: inner)
    assert len(asked(*index)["hits"]) == 4


def test_paths_are_meant_from_the_file_on(folder: Path, monkeypatch):
    put(folder / "semsearch.toml", 'index = "index"\n')
    (folder / "a").mkdir()
    monkeypatch.chdir(folder / "a")
    assert len(asked()["hits"]) == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modle = 'x'", "semsearch.toml: there is no setting modle: did you mean mode or model?"),
        ("[commands.ask]\nfresch = 1", "there is no setting fresch for semsearch ask:"),
        ("[commands.ask]\nprecision = 'int8'", "there is no setting precision for semsearch ask:"),
        ("[commands.aks]\nk = 1", "there is no setting aks in commands: did you mean ask?"),
        ("[ask]\nk = 1", "there is no setting ask:"),
        ("fresh = true", "semsearch.toml: fresh is not for a file: give it on the command line"),
        ("token = 'secret'", "token is not for a file"),
        ("k = '3'", "semsearch.toml: k is a text, and must be a whole number"),
        ("k = true", "k is true or false, and must be a whole number"),
        ("k = 0", "k 0 is not in the range 1<=x<=10000"),
        ("k = [1]", "k is a list, and must be a whole number"),
        ("mode = 'psychic'", "mode 'psychic' is not one of"),
        ("mode = 1", "mode is a number, and must be a text"),
        ("where = [1]", "where is a number, and must be a text or a list of texts"),
        ("copies = 'yes'", "copies is a text, and must be true or false"),
        ("target-recall = '1'", "target-recall is a text, and must be a number"),
        ("commands = 3", "commands is no table"),
        ("k = ", "semsearch.toml is not TOML ("),
        ("k = 1\nk = 2", "semsearch.toml is not TOML ("),
        ("index = '../other'", "index reaches out of its folder or to the network"),
        ("index = '/other'", "add --config semsearch.toml to allow it, or --no-config"),
        ("model = 'somebody/model'", "model reaches out"),
        ("rerank = 'somebody/model'", "rerank reaches out"),
        ("host = '0.0.0.0'", "host reaches out"),
        ("cluster = 'tcp://10.0.0.1:8786'", "cluster reaches out"),
    ],
)
def test_what_a_file_cannot_say(tmp_path: Path, monkeypatch, text: str, message: str):
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "semsearch.toml", text)
    assert message in fails("ask", "sword")
    # Who asks for help gets it.
    assert run("ask", "--help").exit_code == 0


def test_a_file_that_is_named_may_reach_out(folder: Path):
    put(folder / "set" / "mine.toml", "index = '../index'\n")
    assert len(asked(before=("--config", "set/mine.toml"))["hits"]) == 4
    put(folder / "set" / "mine.toml", "model = 'somebody/model'\n")
    assert run("--config", "set/mine.toml", "index", "notes", "--index", "other").exit_code == 0
    assert "none.toml cannot be read" in fails("--config", "none.toml", "status")
    put(folder / "set" / "pyproject.toml", "[tool.other]\n")
    assert "has no table [tool.semsearch]" in fails("--config", "set/pyproject.toml", "status")


def test_models_at_hand_may_be_named_by_any_file(folder: Path):
    (folder / "models" / "mine").mkdir(parents=True)
    put(folder / "semsearch.toml", "model = 'models/mine'\n")
    assert run("index", "notes", "--index", "other").exit_code == 0
    put(folder / "semsearch.toml", "model = 'all-MiniLM-L6-v2'\n")
    assert run("index", "notes", "--index", "other").exit_code == 0


@pytest.fixture(params=["chown", "simulated"])
def disown(request, monkeypatch) -> Callable[[Path], None]:
    """Give files to another user; simulated where only root could."""
    if not hasattr(os, "getuid"):
        pytest.skip("owners of POSIX")
    if request.param == "chown":
        if os.getuid() != 0:
            pytest.skip("only root gives files away")
        # The user's own files must not be root's, which are the system's.
        return lambda path: os.chown(path, 4321, -1)
    real = os.fstat
    foreign: set[int] = set()

    def fstat(handle: int) -> os.stat_result:
        status = real(handle)
        return os.stat_result((*status[:4], 4321, *status[5:])) if status.st_ino in foreign else status

    monkeypatch.setattr(os, "fstat", fstat)
    return lambda path: foreign.add(path.stat().st_ino)


def test_another_users_file_is_ignored_without_being_parsed(folder: Path, disown):
    disown(put(folder / "semsearch.toml", "k = 1\n"))
    done = run("ask", "sword")
    assert done.stderr == (
        "semsearch: semsearch.toml belongs to another user and is ignored; to use it, add --config semsearch.toml\n"
    )
    assert len(asked()["hits"]) == 4
    assert len(asked(before=("--config", "semsearch.toml"))["hits"]) == 1
    # Nothing in it is shown, and the file of the user next to it is used.
    for text in ("k = SECRET", "SECRET = 1", "#" * 2**20 + "SECRET"):
        disown(put(folder / "semsearch.toml", text))
        put(folder / "pyproject.toml", "[tool.semsearch]\nk = 1\n")
        done = run("ask", "sword")
        assert done.exit_code == 0
        assert "SECRET" not in done.stderr
        assert len(asked()["hits"]) == 1


def test_another_users_pyproject_is_mentioned_only_if_it_is_about_semsearch(folder: Path, disown):
    disown(put(folder / "pyproject.toml", "[tool.semsearch]\nk = SECRET\n"))
    assert run("ask", "sword").stderr.startswith("semsearch: pyproject.toml belongs to another user and is ignored;")
    disown(put(folder / "pyproject.toml", "[project]\nname = 'semsearch-user'\n"))
    assert run("ask", "sword").stderr == ""


def test_another_users_file_that_cannot_be_read_ends_no_command(folder: Path, monkeypatch):
    put(folder / "semsearch.toml", "k = 1\n")
    real = os.open

    def refuse(path, *arguments, **options):
        if str(path).endswith("semsearch.toml"):
            raise PermissionError(13, "Permission denied")
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse)
    assert "semsearch.toml cannot be read (Permission denied): check its permissions" in fails("ask", "sword")
    monkeypatch.setattr(settings, "_is_ours", lambda status: False)
    done = run("ask", "sword")
    assert (done.exit_code, done.stderr.partition(";")[0]) == (
        0,
        "semsearch: semsearch.toml belongs to another user and is ignored",
    )


@pytest.mark.parametrize("replacement", ["pipe", "link"])
def test_a_file_replaced_while_it_is_looked_at_is_neither_waited_for_nor_believed(folder: Path, disown, monkeypatch, replacement):
    own = put(folder / "semsearch.toml", "k = 1\n")
    disown(put(folder / "theirs.toml", "k = SECRET\n"))
    real = os.path.isfile

    def replacing(path):
        there = real(path)
        if there and str(path) == str(own):
            own.unlink()
            if replacement == "pipe":
                os.mkfifo(own)
            else:
                own.symlink_to("theirs.toml")
        return there

    monkeypatch.setattr(os.path, "isfile", replacing)
    done = run("ask", "sword", "--json")
    assert len(json.loads(done.stdout)["hits"]) == 4
    assert ("belongs to another user" in done.stderr) == (replacement == "link")
    assert "SECRET" not in done.stderr


def test_the_owner_is_that_of_the_file_that_was_read(folder: Path, disown, monkeypatch):
    own = put(folder / "semsearch.toml", "k = 1\n")
    theirs = put(folder / "theirs.toml", "k = 2\n")
    disown(theirs)
    own.unlink()
    own.symlink_to("theirs.toml")
    fstat = os.fstat

    def replacing(handle: int) -> os.stat_result:
        status = fstat(handle)
        if own.is_symlink() and status.st_ino == theirs.stat().st_ino:
            own.unlink()
            put(own, "k = 1\n")
        return status

    # After it was opened, the path leads to a file of the user.
    monkeypatch.setattr(os, "fstat", replacing)
    done = run("ask", "sword", "--json")
    assert "belongs to another user" in done.stderr
    assert len(json.loads(done.stdout)["hits"]) == 4


def test_a_pyproject_about_other_things_is_left_alone(folder: Path):
    put(folder / "pyproject.toml", "semsearch is not TOML")
    assert run("ask", "sword").stderr == ""
    put(folder / "pyproject.toml", "[tool.semsearch]\nk = ")
    assert "pyproject.toml is not TOML" in fails("ask", "sword")


def test_threads_and_memory_are_bounds_from_anywhere(folder: Path, monkeypatch):
    from semsearch import limits

    monkeypatch.setenv("SEMSEARCH_MEMORY", "99")
    put(folder / "semsearch.toml", "memory = 77\nthreads = 1\n")
    monkeypatch.setenv("SEMSEARCH_THREADS", "")
    assert run("index", "notes").exit_code == 0
    assert (limits.memory(), limits.processors()) == (99, 1)
    assert "0 is not in the range" in fails("--no-config", "index", "notes", "--threads", "0")


def test_every_variable_is_named_where_it_counts(monkeypatch):
    told = run("--help").stdout
    listed = {
        (option.envvar, name)
        for name, command in {"": main, **main.commands}.items()
        for option in command.params
        if getattr(option, "envvar", None)
    }
    for variable, name in listed:
        assert variable in VARIABLES
        assert variable in run(*([name] if name else []), "--help").stdout.replace("\n" + " " * 34, "")
    others = {"SEMSEARCH_CACHE", "SEMSEARCH_MILVUS_TOKEN", "WATCHFILES_FORCE_POLLING"}
    assert {variable for variable, _ in listed} == set(VARIABLES) - others
    assert all(f"\n  {variable}" in told for variable in VARIABLES)


def test_json_on_the_command_line_goes_before_a_format_from_elsewhere(folder: Path, monkeypatch):
    put(folder / "semsearch.toml", 'format = "paths"\n')
    assert run("ask", "sword", "-k", "1").stdout.startswith("notes/two.md:3: ")
    assert asked()["query"] == "sword aid"
    put(folder / "semsearch.toml", "json = true\n")
    assert run("ask", "sword", "-k", "1", "--format", "paths").stdout.startswith("notes/two.md:3: ")
