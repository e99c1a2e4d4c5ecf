"""Export and import: the same index elsewhere, without the articles; and files that are none, or not as they were written."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import WORDS, FakeEncoder
from helpers import build, contents, found, records, run, write

import semsearch
from semsearch import exchange
from semsearch.errors import InputError, MissingExtra
from semsearch.importer import import_passages
from semsearch.passages import refitted
from semsearch.records import Article, Passage, Sentence

KINDS = ["jsonl", "parquet"]


def export(home: Path, file: Path, **options) -> Path:
    with semsearch.open(home, encoder=FakeEncoder()) as opened:
        opened.export(file, **options)
    return file


def take(file: Path, home: Path, encoder: FakeEncoder | None = None, **options):
    """Import with an encoder of its own; the report and what was encoded."""
    encoder = encoder or FakeEncoder()
    report = import_passages(file, home, encoder=encoder, **options)
    return report, encoder.encoded


def lines(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def put(file: Path, rows: list[dict]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def repeated(file: Path, target: Path, rows: int, metadata: list[str], *, articles: bool = False, **values: object) -> Path:
    """A Parquet file of the first passage many times over, each with one of some metadata, in turn.

    :param articles: each in a record of its own.
    """
    table = pq.read_table(file).slice(0, 1)
    row = table.to_pylist()[0] | values
    header = json.loads(table.schema.metadata[b"semsearch"]) | {"passages": rows, "articles": rows if articles else 1}
    columns = {name: [row[name]] * rows for name in table.schema.names}
    columns["metadata"] = [metadata[place % len(metadata)] for place in range(rows)]
    if articles:
        columns["record"] = [f"#{place + 1}" for place in range(rows)]
        columns["source"] = [row["source"] + record for record in columns["record"]]
    schema = table.schema.with_metadata({b"semsearch": json.dumps(header).encode()})
    arrays = [pa.array(columns[name], schema.field(name).type) for name in schema.names]
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), target, compression="zstd")
    return target


@pytest.fixture
def mixed(notes: Path, home: Path) -> Path:
    """An index of files with headings, sentences, metadata and records, some of which share a text."""
    (notes / "three.md").write_text(
        "---\ndate: 2020-01-02\ntags: [a, Ü]\n---\n# Third\n\n## Part\n\nThe *oil* was there. Gas, too.\n"
    )
    records(notes, ["The sword of aid.", {"text": "The sword of aid.", "n": 1.5}, "election gas"])
    build(notes, home)
    return notes


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("vectors", [False, True])
def test_an_import_is_the_index_that_was_exported(mixed: Path, home: Path, tmp_path: Path, kind: str, vectors: bool):
    file = export(home, tmp_path / f"all.{kind}", vectors=vectors)
    report, encoded = take(file, tmp_path / "copy")
    assert (report.articles, report.passages, report.added) == (6, 8, 4)
    # Of what is taken only a sample is read by the model, to compare.
    assert report.encoded == (0 if vectors else 7)
    assert len(encoded) == 7
    assert contents(tmp_path / "copy") == contents(home)
    for mode in ("hybrid", "dense", "lexical"):
        for query in ("aid sword", "oil was there", "election of the council"):
            theirs, ours = (found(place, query, mode=mode) for place in (tmp_path / "copy", home))
            assert [hit.to_dict() for hit in theirs] == [hit.to_dict() for hit in ours]
    assert semsearch.check(tmp_path / "copy", encoder=FakeEncoder(), sources=True).citations == {"OK": 8, "MOVED": 0, "STALE": 0}


@pytest.mark.model
def test_the_model_gives_the_same_answers_bit_by_bit(root: Path, tmp_path: Path, model_cache: Path):
    with semsearch.build(root / "seeds", tmp_path / "one") as one:
        one.export(tmp_path / "all.jsonl", vectors=True)
        assert import_passages(tmp_path / "all.jsonl", tmp_path / "two").encoded == 0
        with semsearch.open(tmp_path / "two") as two:
            for query in ("what aid did Russia offer", "who won at Carabobo", "vaccines"):
                mine, theirs = one.search(query).to_dicts(), two.search(query).to_dicts()
                assert mine == theirs


def test_what_a_line_holds_can_be_read_without_semsearch(mixed: Path, home: Path, tmp_path: Path):
    header, *rows = lines(export(home, tmp_path / "all.jsonl", vectors=True))
    assert (header["semsearch"], header["format"], header["passages"], header["articles"]) == ("passages", 1, 8, 6)
    row = next(row for row in rows if row["source"].endswith("three.md"))
    assert (row["title"], row["metadata"], row["headings"]) == ("Third", {"date": "2020-01-02", "tags": ["a", "Ü"]}, ["Part"])
    assert [row["text"][start:end] for start, end, _, _ in row["sentences"]] == ["The oil was there.", "Gas, too."]
    content = (mixed / "three.md").read_text(encoding="utf-8")
    assert [content[start:end] for _, _, start, end in row["sentences"]] == ["The *oil* was there.", "Gas, too."]
    vector = np.frombuffer(base64.b64decode(row["vector"]), "<f4")
    expected = FakeEncoder.vectors(["Third. Part. The oil was there. Gas, too."])[0]
    assert vector.tolist() == expected.tolist()
    table = pq.read_table(export(home, tmp_path / "all.parquet", vectors=True))
    assert np.stack(table["vector"].to_numpy()).shape == (8, len(WORDS) + 1)
    assert table["source"].to_pylist() == [row["source"] for row in rows]


def test_a_filter_and_an_index_without_codes(mixed: Path, home: Path, tmp_path: Path):
    assert lines(export(home, tmp_path / "some.jsonl", where=["date=2020"]))[0]["passages"] == 1
    build(mixed, tmp_path / "small", compact=True)
    file = export(tmp_path / "small", tmp_path / "small.parquet", vectors=True)
    assert take(file, tmp_path / "copy")[0].encoded == 0
    assert contents(tmp_path / "copy") == contents(tmp_path / "small")
    # An index with codes cannot do without them.
    assert take(file, tmp_path / "full", compact=False)[0].encoded == 7
    assert contents(tmp_path / "full") == contents(home)
    # And one without leaves them.
    assert take(export(home, tmp_path / "all.jsonl", vectors=True), tmp_path / "copy")[0].encoded == 0
    assert contents(tmp_path / "copy") == contents(tmp_path / "small")


def test_a_refresh_goes_on_from_what_was_imported(mixed: Path, home: Path, tmp_path: Path):
    take(export(home, tmp_path / "all.jsonl", vectors=True), tmp_path / "copy")
    write(mixed, "one.md", "aid, vaccine", "charter", title="First")
    report, encoded = build(mixed, tmp_path / "copy")
    # What was imported is not believed of a file before that has been read.
    assert (report.unchanged, report.changed, len(encoded)) == (0, 4, 1)
    assert build(mixed, tmp_path / "copy")[0].unchanged == 4
    build(mixed, tmp_path / "fresh")
    assert contents(tmp_path / "copy") == contents(tmp_path / "fresh")


def test_an_import_takes_the_place_of_the_same_files_and_leaves_others(mixed: Path, home: Path, tmp_path: Path):
    export(home, tmp_path / "before.jsonl", vectors=True)
    before = contents(home)
    write(mixed, "one.md", "charter", title="First")
    write(mixed, "new.md", "sanction", title="New")
    build(mixed, home)
    report, _ = take(tmp_path / "before.jsonl", home)
    assert (report.added, report.changed, report.encoded) == (0, 4, 0)
    assert [item for item in contents(home) if not item[1].endswith("new.md")] == before
    assert semsearch.check(home, encoder=FakeEncoder()).ok


def test_without_the_articles_citations_are_stale(mixed: Path, home: Path, tmp_path: Path):
    file = export(home, tmp_path / "all.jsonl")
    for path in mixed.iterdir():
        path.unlink()
    take(file, tmp_path / "copy")
    assert semsearch.check(tmp_path / "copy", encoder=FakeEncoder(), sources=True).citations == {"OK": 0, "MOVED": 0, "STALE": 8}
    assert semsearch.remove(str(mixed / "one.md"), tmp_path / "copy") == 1


def test_another_model_encodes_anew_and_splits_what_is_too_long_for_it(home: Path, tmp_path: Path, caplog):
    text = " ".join(f"Sentence {number} tells of oil and {WORDS[number]}." for number in range(8))
    records(tmp_path / "notes", [text])
    build(tmp_path / "notes", home)
    file = export(home, tmp_path / "all.jsonl", vectors=True)
    small = FakeEncoder("small")
    small.passage_tokens = 20
    report, encoded = take(file, tmp_path / "copy", small)
    assert "the vectors in" in caplog.text
    assert "are of 'fake': all is encoded by 'small' (--model fake takes them)" in caplog.text
    assert report.passages == len(encoded) > 2
    assert " ".join(sorted(encoded)) == text
    with semsearch.open(tmp_path / "copy", encoder=small) as opened:
        for hit in opened.search("oil", fold=False):
            assert text[hit.start : hit.end] == hit.text
            assert len(hit.text.split()) <= 20
    # The articles are read again, for they were cut for another model.
    assert build(tmp_path / "notes", tmp_path / "copy", small)[0].changed == 1


def test_a_text_that_was_edited_is_encoded_anew(mixed: Path, home: Path, tmp_path: Path):
    header, *rows = lines(export(home, tmp_path / "all.jsonl", vectors=True))
    place = next(number for number, row in enumerate(rows) if row["text"] == "election gas")
    rows[place] |= {"text": "election aid"}
    report, _ = take(put(tmp_path / "edited.jsonl", [header, *rows]), tmp_path / "copy")
    assert report.encoded == 1
    citations = semsearch.check(tmp_path / "copy", encoder=FakeEncoder(), sources=True).citations
    assert citations == {"OK": 7, "MOVED": 0, "STALE": 1}
    assert semsearch.check(tmp_path / "copy", encoder=FakeEncoder()).ok
    assert found(tmp_path / "copy", "election")[0].text == "election aid"


def test_vectors_of_other_texts_are_refused(mixed: Path, home: Path, tmp_path: Path):
    from semsearch.protocols import PassageText
    from semsearch.store import embedding_hash

    header, *rows = lines(export(home, tmp_path / "all.jsonl", vectors=True))
    wrong = np.eye(len(WORDS) + 1, dtype=np.float32)[3]
    for row in rows:
        sentences = tuple((start, end) for start, end, _, _ in row["sentences"])
        context = ". ".join([part for part in (row["title"], *row["headings"]) if part])
        embedding = embedding_hash(PassageText(f"{context}." if context else "", row["text"], sentences))
        words = np.frombuffer(base64.b64decode(row["words"]), np.uint8).reshape(-1, 16)
        row["vector"] = base64.b64encode(wrong.tobytes()).decode()
        row["checksum"] = exchange.checksum(embedding, wrong, words, np.asarray(row["word_spans"], np.int32).reshape(-1, 2))
    forged = put(tmp_path / "forged.jsonl", [header, *rows])
    with pytest.raises(InputError, match="are not those that 'fake' gives their texts: add --encode"):
        take(forged, tmp_path / "copy")
    assert not (tmp_path / "copy" / "semsearch.sqlite").exists()
    take(forged, tmp_path / "copy", encode=True)
    assert contents(tmp_path / "copy") == contents(home)


HOSTILE = [
    ({"text": 3}, "its text is no text"),
    ({"text": "a\ud800"}, "characters that no text has"),
    ({"title": "x" * 3000}, "its title has 3,000 characters"),
    ({"path": "../../etc/passwd"}, "leads out of its folder"),
    ({"path": "a\\..\\b"}, "leads out of its folder"),
    ({"path": "//host/share/a.md"}, "leads out of its folder"),
    ({"path": ""}, "leads out of its folder"),
    ({"source": "a\nb.md"}, "its source is no name"),
    ({"record": "#1"}, "does not end with its record"),
    ({"sha256": "zz"}, "is no passage"),
    ({"sha256": "00"}, "its sha256 is none"),
    ({"metadata": [1]}, "its metadata is not an object"),
    ({"headings": "Part"}, "headings are no list"),
    ({"start": 10, "end": 5}, "spans are not where spans can be"),
    ({"end": -1}, "its end is no number"),
    ({"end": 2**40}, "its end is no number"),
    ({"line": True}, "its line is no number"),
    ({"line": 0}, "its line is no number"),
    ({"sentences": [[0, 999999, 0, 1]]}, "spans are not where spans can be"),
    ({"sentences": [[0, 1, 0]]}, "four numbers"),
    ({"sentences": [5]}, "is no passage"),
    ({"vector": "AAAA"}, "is no passage"),
    ({"vector": base64.b64encode(np.full(11, np.nan, "<f4").tobytes()).decode()}, "is not one of the model's"),
    ({"vector": base64.b64encode(np.ones(11, "<f4").tobytes()).decode()}, "is not one of the model's"),
    ({"vector": base64.b64encode(np.full(11, 3e38, "<f4").tobytes()).decode()}, "is not one of the model's"),
    ({"words": base64.b64encode(b"abc").decode()}, "is no passage"),
    ({"word_spans": [[0, 10**6]]}, "the codes of its words"),
]


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> list[dict]:
    """The lines of a sound file."""
    folder = tmp_path_factory.mktemp("sound")
    write(folder / "notes", "one.md", "aid, vaccine", title="First")
    build(folder / "notes", folder / "index")
    return lines(export(folder / "index", folder / "all.jsonl", vectors=True))


@pytest.mark.parametrize(("change", "message"), HOSTILE, ids=[json.dumps(change)[:40] for change, _ in HOSTILE])
def test_what_cannot_be_is_refused_in_one_line(sound, tmp_path, change, message):
    header, *rows = sound
    changed = put(tmp_path / "bad.jsonl", [header, *rows[:-1], rows[-1] | change])
    with pytest.raises(InputError, match=message) as refused, exchange.reading(changed) as source:
        list(source)
    assert f"bad.jsonl line {len(rows) + 1}: " in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("kind", KINDS)
def test_an_import_that_fails_changes_nothing(mixed: Path, home: Path, tmp_path: Path, kind: str):
    write(mixed, "zz.md", "gas", title="Last")
    build(mixed, tmp_path / "later")
    file = export(tmp_path / "later", tmp_path / f"all.{kind}", vectors=True)
    if kind == "jsonl":
        header, *rows = lines(file)
        put(file, [header, *rows[:-1], rows[-1] | {"path": "../x"}])
    else:
        table = pq.read_table(file)
        paths = pa.array([*table["path"].to_pylist()[:-1], "../x"], pa.string())
        place = table.schema.get_field_index("path")
        pq.write_table(table.set_column(place, table.schema.field(place), paths), file)
    before = contents(home)
    with pytest.raises(InputError, match=r"(line 10|row 9): its path leads out of its folder"):
        take(file, home)
    assert contents(home) == before
    assert semsearch.check(home, encoder=FakeEncoder()).leftovers == ()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no passages of an index"),
        (b'{"text": "a"}\n', "has no passages of an index"),
        (b"\x00\xff" * 50, "has no passages of an index"),
        (b'{"semsearch": "passages", "format": 99, "version": "9.9"}\n', "was written by semsearch 9.9: upgrade"),
        (b'{"semsearch": "passages", "format": 1}\n', "has no passages of an index"),
        (b"[" * 100_000 + b"\n", "has no passages of an index"),
        (b'{"a":' * 100_000 + b"\n", "has no passages of an index"),
    ],
)
def test_foreign_files(content: bytes, message: str, tmp_path: Path):
    (tmp_path / "x.jsonl").write_bytes(content)
    with pytest.raises(InputError, match=message):
        take(tmp_path / "x.jsonl", tmp_path / "copy")


def test_damaged_files(mixed: Path, home: Path, tmp_path: Path):
    whole = export(home, tmp_path / "all.jsonl").read_bytes()
    (tmp_path / "cut.jsonl").write_bytes(whole[: len(whole) - 200])
    with pytest.raises(InputError, match=r"cut.jsonl line 9: is no passage|cut.jsonl line 9: .*export"):
        take(tmp_path / "cut.jsonl", tmp_path / "copy")
    (tmp_path / "cut.jsonl").write_bytes(b"".join(whole.splitlines(keepends=True)[:-1]))
    with pytest.raises(InputError, match="has 7 of its 8 passages"):
        take(tmp_path / "cut.jsonl", tmp_path / "copy")
    header, *rows = lines(tmp_path / "all.jsonl")
    with pytest.raises(InputError, match="do not stand together"):
        take(put(tmp_path / "cut.jsonl", [header, *rows[1:], rows[0]]), tmp_path / "copy")
    with pytest.raises(InputError, match="line 2: NaN is no number"):
        take(put(tmp_path / "cut.jsonl", [header, rows[0] | {"line": float("nan")}, *rows[1:]]), tmp_path / "copy")
    packed = bytearray(export(home, tmp_path / "all.parquet", vectors=True).read_bytes())
    (tmp_path / "cut.parquet").write_bytes(packed[:-100])
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        take(tmp_path / "cut.parquet", tmp_path / "copy")
    for place in range(4, len(packed) // 2, 97):
        packed[place] ^= 0x40
    (tmp_path / "cut.parquet").write_bytes(packed)
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        take(tmp_path / "cut.parquet", tmp_path / "copy")
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "other.parquet")
    with pytest.raises(InputError, match="has no passages of an index"):
        take(tmp_path / "other.parquet", tmp_path / "copy")
    table = pq.read_table(tmp_path / "all.parquet")
    pq.write_table(table.drop_columns(["line"]), tmp_path / "other.parquet")
    with pytest.raises(InputError, match="has no column line of type int32"):
        take(tmp_path / "other.parquet", tmp_path / "copy")
    assert not (tmp_path / "copy" / "semsearch.sqlite").exists()


def test_the_model_that_a_file_names_is_not_loaded_by_its_name(mixed, home, tmp_path, monkeypatch):
    from semsearch import encoder

    asked = []
    monkeypatch.setattr(encoder, "load", lambda name="": asked.append(name) or FakeEncoder())
    header, *rows = lines(export(home, tmp_path / "all.jsonl"))
    header["fingerprint"]["model"] = "somebody/elses-model"
    import_passages(put(tmp_path / "all.jsonl", [header, *rows]), tmp_path / "copy")
    assert asked == ["all-MiniLM-L6-v2"]


def test_where_it_cannot_be_written_the_file_is_as_it_was(mixed: Path, home: Path, tmp_path: Path, monkeypatch):
    file = export(home, tmp_path / "all.jsonl")
    before = file.read_bytes()
    from semsearch import index

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(index, "_exported", fail)
    with pytest.raises(InputError, match=r"cannot write .*No space left"):
        export(home, file)
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_the_commands(mixed, home, tmp_path, no_model, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run("export", "all.parquet", "--vectors", "--index", str(home))
    assert done.stdout.startswith("all.parquet: 8 passages, ")
    assert json.loads(run("export", "all.jsonl", "--index", str(home), "--json").stdout)["passages"] == 8
    done = run("import", "all.parquet", "--index", "copy")
    assert done.stdout == "copy: 6 articles, 8 passages\n"
    assert done.stderr.startswith("semsearch: files: 4 added; 0 passages encoded in ")
    assert json.loads(run("import", "all.jsonl", "--index", "copy", "--json").stdout)["changed"] == 4
    for arguments, message in (
        (("export", "all.csv", "--index", "copy"), "name it .jsonl or .parquet"),
        (("export", "copy", "--index", "copy"), "name it .jsonl or .parquet"),
        (("export", "all.jsonl", "--index", "none"), "no index in none"),
        (("import", "none.jsonl"), "none.jsonl is not there"),
    ):
        failed = run(*arguments)
        assert (failed.exit_code, failed.stdout) == (2, "")
        assert message in failed.stderr


def test_parquet_without_pyarrow(mixed, home, tmp_path, monkeypatch):
    export(home, tmp_path / "all.parquet")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r'pip install "semsearch\[parquet\]"'):
        export(home, tmp_path / "x.parquet")
    with pytest.raises(MissingExtra, match="pyarrow"):
        take(tmp_path / "all.parquet", tmp_path / "copy")
    assert not (tmp_path / "x.parquet").exists()


def test_passages_of_another_model_are_split_where_they_do_not_fit():
    text = "One two three four. Five six seven eight. Nine ten eleven twelve."
    source = text.replace("Five", "*Five*")
    spans = [(0, 19), (20, 41), (42, 65)]
    outer = [(0, 19), (20, 43), (44, 67)]
    long = Passage(text, ("Part",), 4, 9, 0, 67, tuple(Sentence(*span) for span in spans), tuple(outer))
    short = Passage("Five six.", ("Part",), 5, 11, 70, 79, (Sentence(0, 9),), ((70, 79),))
    article = Article("a.md", "Title", {}, ())

    def count(texts):
        return [len(text.split()) for text in texts]

    assert refitted(article, [long, short], 40, count) == [long, short]
    pieces = refitted(article, [long, short], 10, count)
    assert [piece.text for piece in pieces] == [text[:41], text[42:], "Five six."]
    assert [source[piece.start : piece.end] for piece in pieces[:2]] == [source[:43], source[44:]]
    assert [span for piece in pieces[:2] for span in piece.sentence_spans] == outer
    assert {(piece.headings, piece.paragraph, piece.line) for piece in pieces[:2]} == {(("Part",), 4, 9)}
    assert all(piece.in_place for piece in pieces)


LARGE = json.dumps({"note": "x" * 1_000_000})
SHARED = json.dumps({"note": "x" * 10_000})


@pytest.mark.parametrize("metadata", [[LARGE], [LARGE, LARGE.replace("x", "y")]])
def test_a_small_file_that_unpacks_to_much_is_refused(mixed: Path, home: Path, tmp_path: Path, metadata: list[str], monkeypatch):
    monkeypatch.setattr(exchange.table, "_MAX_UNPACKED", 50_000_000)
    file = export(home, tmp_path / "all.parquet")
    # Either each article has it, or the passages of one article differ in it.
    large = repeated(file, tmp_path / "large.parquet", 100, metadata, articles=len(metadata) == 1)
    assert large.stat().st_size < 30_000
    with pytest.raises(InputError, match=r"unpacks to more than \d\d MB, too much for its size: export the passages as \.jsonl"):
        take(large, tmp_path / "copy")
    assert not (tmp_path / "copy" / "semsearch.sqlite").exists()


@pytest.mark.parametrize("values", [{"text": "aid " * 1000}, {"title": "aid " * 400}, {"headings": ["aid " * 400] * 4}])
def test_all_values_count_for_what_a_file_unpacks_to(mixed: Path, home: Path, tmp_path: Path, values, monkeypatch):
    monkeypatch.setattr(exchange.table, "_MAX_UNPACKED", 100_000)
    file = export(home, tmp_path / "all.parquet")
    large = repeated(file, tmp_path / "large.parquet", 3000, ["{}"], sentences=[], start=0, end=0, **values)
    with pytest.raises(InputError, match="too much for its size"):
        take(large, tmp_path / "copy")


def test_metadata_that_passages_share_is_parsed_once_a_batch(mixed: Path, home: Path, tmp_path: Path, monkeypatch):
    parsed: list[int] = []
    plain = exchange.table.plain
    monkeypatch.setattr(exchange.table, "plain", lambda text: parsed.append(len(text)) or plain(text))
    file = repeated(export(home, tmp_path / "all.parquet"), tmp_path / "one.parquet", 1000, [SHARED])
    report, _ = take(file, tmp_path / "copy")
    assert (report.articles, report.passages) == (1, 1000)
    assert len(parsed) == 4
    with semsearch.open(tmp_path / "copy", encoder=FakeEncoder()) as opened:
        assert opened.search("aid")[0].metadata == json.loads(SHARED)


def test_a_large_footer_is_refused_before_it_is_parsed(mixed: Path, home: Path, tmp_path: Path, monkeypatch):
    table = pq.read_table(export(home, tmp_path / "all.parquet"))
    noted = table.replace_schema_metadata({**(table.schema.metadata or {}), b"other": b"x" * 600_000})
    pq.write_table(noted, tmp_path / "large.parquet")
    refused = r"large.parquet has a footer of [\d,]+ bytes, too many for a file of [\d,]+: export the passages again"
    monkeypatch.setattr(pq, "ParquetFile", None)
    with pytest.raises(InputError, match=refused):
        take(tmp_path / "large.parquet", tmp_path / "copy")
