"""`filters`: every form of a condition, every kind of value, every refusal; and a second implementation to agree with."""

from __future__ import annotations

import datetime
import fnmatch
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from semsearch import condition_values
from semsearch.condition_values import read
from semsearch.errors import InputError
from semsearch.filters import Condition, Filter, parse

METADATA: dict[str, Any] = {
    "date": "2019-09-27",
    "year": 2019,
    "month": "2019-09",
    "at": "2019-09-27T23:30:00-05:00",
    "clock": "2019-09-27T10:30:15.250000",
    "author": "Ana Díaz",
    "tags": ["oil", "gas", "Trade"],
    "words": 10,
    "written": "10",
    "version": "1.10",
    "share": 0.5,
    "draft": False,
    "reviewed": True,
    "places": [{"name": "Caracas", "people": 3}, {"name": "Moscow", "people": 12}],
    "paper": {"name": "The Daily", "pages": {"first": 4}, "none": None},
    "a.b": "dotted",
    "deep.er": {"key": 1},
    "title": "the title of the metadata",
    "source": "Reuters",
    "empty": [],
    "none": [None],
    "braces": "[draft] x*y",
}


def holds(where: Any, source: str = "notes/2019/a.md", title: str = "On oil", metadata: dict[str, Any] = METADATA) -> bool:
    return parse(where).matches(source, title, metadata)


MEANT = [
    # Equality and patterns.
    "author=Ana Díaz", " author = Ana Díaz ", "author==Ana Díaz", "author=Ana*", "author=*D?az", "author=[AB]na*", "author=*",
    "author!=Bob", "author!=ana*", "author=Bob|Ana*", "author!=Bob|Eve", "author=Bob | Ana Díaz",
    # Lists, mappings.
    "tags=oil", "tags=Tr*", "tags=coal|gas", "tags!=coal", "places=Moscow", "places.name=Caracas", "places.people>=12",
    "paper.name=The Daily", "paper.pages.first=4", "paper=The Daily", "a.b=dotted", "deep.er.key=1",
    # Numbers.
    "words=10", "words=10.0", "words=1e1", "words>9", "words>=10", "words<=10", "words<11", "words>-1", "words!=9", "words=1*",
    "written>9", "written<1e2", "written=10", "share=.5", "share<0.6", "share>=0.50", "version!=1.1", "version<1.2",
    # Truth.
    "draft=false", "draft=False", "reviewed=true", "reviewed!=false",
    # Dates.
    "date=2019", "date=2019-09", "date=2019-09-27", "date>2018", "date>=2019", "date<=2019", "date<2020", "date>2019-08",
    "date>=2019-09", "date<=2019-09", "date<2019-10", "date>2019-09-26", "date>=2019-09-27", "date<=2019-09-27",
    "date<2019-09-28", "date=2018|2019", "date!=2018", "date<2019-09-28T00:00",
    "month=2019", "month<=2019", "month>2019-08", "month<2019-10-01",
    "year=2019", "year>2018-12", "year<=2019", "year<2020-01-01",
    "at=2019-09-27", "at=2019-09-28T04:30Z", "at>=2019-09-28T04:00:00+00:00", "at<=2019-09-27T23:30",
    "at=2019-09-27T22:30:00-0600",
    "at=2019-09-27T23:30:00 -05", "clock=2019-09-27T10:30", "clock=2019-09-27 10:30:15", "clock>2019-09-27T10:30:14",
    "clock=2019-09-27T10:30:15.25", "clock<2019-09-27T10:30:15,3",
    # What is not there.
    "nothing!=x", "nothing!=*", "author.name!=x", "empty!=*", "none!=*", "paper.none!=*", "empty!=x",
    # Places and titles.
    "source=notes/2019/a.md", "source=notes", "source=notes/", "source=./notes//2019", "source=notes/2019", "source=notes/*.md",
    "source=*.md", "source=n?tes", "source!=other", "source=other|notes", "title=On oil", "title=On*", "title!=the title*",
    "metadata.source=Reuters", "metadata.title=the*", "metadata.words=10",
    "braces=[draft] x*y",
]  # fmt: skip
NOT_MEANT = [
    "author=ana díaz", "author=Ana", "author=?", "author!=Ana*", "author!=Bob|Ana*", "author=Bob|Eve", "author>2000",
    "tags=coal", "tags=O*", "tags!=gas", "tags!=coal|gas", "tags=oi", "places.name=Lima", "name=Moscow", "paper.pages=5",
    "words=1", "words=100", "words>10", "words<10", "words>=10.5", "written>10", "written=10.0", "version=1.1", "words=true",
    "draft=true", "draft=0", "draft<1", "reviewed=1", "reviewed!=true",
    "date=2018", "date=2019-08", "date=2019-09-2", "date=2019-09-28", "date>2019", "date>2019-09", "date<2019", "date<2019-09",
    "date>2019-09-27", "date<2019-09-27", "date<=2019-08", "date>=2019-10", "date!=2019", "date!=2018|2019-09", "words>2019-09",
    "month=2019-09-27", "month>=2019-09-02", "month<=2019-09-27", "month>2019-09-01", "month<2019-09-02", "year=2019-09",
    "year<=2019-06", "year>2019", "at=2019-09-28", "at=2019-09-27T23:30Z", "at>2019-09-28T04:30Z",
    "clock=2019-09-27T10:31", "clock>2019-09-27T10:30", "clock=2019-09-27T10:30:15.26",
    "nothing=x", "nothing=*", "nothing>0", "nothing<9999", "empty=*", "none=*", "paper.none=*", "paper.name.x=y",
    "source=notes/2019/a", "source=note", "source=a.md", "source=2019", "source!=notes", "source!=*.md", "source=Notes",
    "source=Reuters", "title=the title*", "title=on oil", "metadata.nothing=*",
]  # fmt: skip


@pytest.mark.parametrize("where", MEANT)
def test_articles_that_are_meant(where):
    assert holds(where)


@pytest.mark.parametrize("where", NOT_MEANT)
def test_articles_that_are_not_meant(where):
    assert not holds(where)


def test_several_conditions_are_all_required():
    assert holds(["tags=oil", "tags=gas", "date>=2019"])
    assert not holds(["tags=oil", "tags=coal"])
    assert holds({"words": {">": 9, "<": 11, "!=": [1, 2]}, "tags": {"oil", "coal"}})
    assert not holds({"words": {">": 9, "<": 10}})
    # Each condition by itself: 3 is below 5, and 12 is above 10.
    assert holds({"places.people": {"<": 5, ">": 10}})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a b", "a b"),
        (10, "10"),
        (0.25, "0.25"),
        (True, "true"),
        (np.int64(10), "10"),
        (np.float32(0.25), "0.25"),
        (datetime.date(2019, 9, 27), "2019-09-27"),
        (datetime.datetime(2019, 9, 27, 10, 30), "2019-09-27T10:30:00"),
        (datetime.datetime(2019, 9, 27, tzinfo=datetime.timezone.utc), "2019-09-27T00:00:00+00:00"),
        (datetime.time(10, 30), "10:30:00"),
    ],
)
def test_values_of_python(value, text):
    numbers = (text,) if isinstance(value, int | float | np.number) and value is not True else ()
    expected = Filter((Condition("key", "=", (text,), numbers),))
    for where in ({"key": value}, {" key ": [value]}, {"key": {"=": value}}, {"key": {"==": (value, value)}}):
        assert parse(where) == expected
    assert parse({"key": {"!=": frozenset([value])}}) == Filter((Condition("key", "!=", (text,), numbers),))
    assert parse(f"key={text}") == Filter((Condition("key", "=", (text,)),))


@pytest.mark.parametrize("stored", ["1.0", "01", "1e0", "+1", 1, 1.0])
def test_a_number_asked_for_as_a_number_is_a_text_that_reads_as_it(stored):
    metadata = {"v": stored, "tags": ["x", stored]}
    for one in (1, 1.0, np.int64(1), np.float32(1)):
        assert holds({"v": one, "tags": one}, metadata=metadata)
        assert holds({"v": [5, one]}, metadata=metadata)
        assert not holds({"v": {"!=": one}}, metadata=metadata)
    assert not holds({"v": 2}, metadata=metadata)
    assert not holds({"v": True}, metadata=metadata)
    assert holds(["v>=1", "v<=1"], metadata=metadata)
    # A text that is asked for is a text where one is stored.
    for where in ({"v": "1"}, "v=1", {"v": ["1", 7]}):
        assert holds(where, metadata=metadata) == (not isinstance(stored, str))


def test_a_version_is_a_text_unless_a_number_is_asked_for():
    assert not holds("version=1.1")
    assert not holds({"version": "1.1"})
    assert holds({"version": 1.1})
    assert holds({"version": "1.10"})
    assert not holds({"version": 1}, metadata={"version": "1.0.0"})
    # Still a date, too.
    assert holds({"date": 2019})
    assert holds({"date": 2019}, metadata={"date": "2019.0"})
    assert not holds({"date": 2019}, metadata={"date": "20190"})


def test_values_in_python_are_not_cut():
    assert holds({"key": "a|b"}, metadata={"key": "a|b"})
    assert not holds("key=a|b", metadata={"key": "a|b"})


@pytest.mark.parametrize("where", [None, "", "  ", [], (), {}])
def test_nothing_is_no_filter(where):
    empty = parse(where)
    assert empty == Filter()
    assert not empty
    assert empty.matches("x", "", {})


def test_filters_are_keys():
    one = parse({"tags": ["oil", "gas"], "date": {">=": 2019}})
    other = parse(["date>=2019", "tags=gas|oil|gas", "date >= 2019"])
    assert one
    assert {one: 1}[other] == 1
    assert parse(one) is one
    assert one.needs_metadata
    assert not parse(["source=a", "title=b"]).needs_metadata


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("dump.jsonl", {"dump.jsonl#1", "dump.jsonl#17"}),
        ("dump.jsonl#17", {"dump.jsonl#17"}),
        ("dump.jsonl#1*", {"dump.jsonl#1", "dump.jsonl#17"}),
        ("*.jsonl", {"dump.jsonl#1", "dump.jsonl#17", "data/dump.jsonl#1"}),
        ("data", {"data/dump.jsonl#1"}),
        ("data/dump.jsonl", {"data/dump.jsonl#1"}),
        ("/", {"/srv/a#b/c.md", "/srv/a"}),
        ("/srv", {"/srv/a#b/c.md", "/srv/a"}),
        ("/srv/a", {"/srv/a"}),
        ("/srv/a#b/", {"/srv/a#b/c.md"}),
        ("../x", {"../x/y.md"}),
        ("x", set()),
    ],
)
def test_sources(asked, meant):
    sources = {"dump.jsonl#1", "dump.jsonl#17", "data/dump.jsonl#1", "/srv/a#b/c.md", "/srv/a", "../x/y.md"}
    assert {source for source in sources if holds({"source": asked}, source)} == meant
    assert {source for source in sources if holds({"source": {"!=": asked}}, source)} == sources - meant


def test_an_article_without_title_has_none():
    assert holds("title!=*", title="")
    assert not holds("title=*", title="")


@pytest.mark.parametrize(
    "text", ["2019-13", "2019-02-30", "2019-09-27T24:00", "2019-9", "0000", "2019-09-27T10:30+25:00", "٢٠١٩", "9" * 65]
)
def test_what_is_no_date_and_no_number(text):
    if text != "0000":
        with pytest.raises(InputError, match=r"give a number, or a date such as 2019-09-27$"):
            parse({"date": {">": text}})
    assert holds({"date": text}, metadata={"date": text})
    assert not holds("date>=1", metadata={"date": text}) or text == "0000"
    assert not holds("date>=0001-01", metadata={"date": text})


def test_the_last_moments_of_the_calendar():
    for text in ("9999", "9999-12", "9999-12-31", "9999-12-31T23:59:59.999999"):
        assert holds("date=9999", metadata={"date": text})
        assert not holds("date>9999-12-31", metadata={"date": text})
    assert holds("date<=2020-02", metadata={"date": "2020-02-29"})
    assert holds("date=2020", metadata={"date": "2020-12-31"})
    assert not holds("date=2019", metadata={"date": "2020-01-01"})


def test_large_numbers_are_compared_exactly():
    assert holds({"n": {">": 2**53}}, metadata={"n": 2**53 + 1})
    assert not holds({"n": 2**53}, metadata={"n": 2**53 + 1})
    assert holds({"n": {"<": "1e999"}}, metadata={"n": 10**400})


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ("date", r"'date' cannot be read: write KEY=VALUE, KEY!=VALUE, .* or KEY=a\|b\|c"),
        (["date=2019", "x"], r"'x' cannot be read: write KEY=VALUE"),
        (["date=2019", 3], r"3 cannot be read: write KEY=VALUE"),
        ("date=>2019", r"cannot be read: write KEY=VALUE"),
        ("date<>2019", r"cannot be read: write KEY=VALUE"),
        ("=2019", r"no key: write KEY=VALUE"),
        ({"": 1}, r"no key: write KEY=VALUE"),
        ("date=", r"no value for 'date': give one, or 'date!=\*'"),
        ("date>", r"no value for 'date'"),
        ("date=2019|", r"no value for 'date'"),
        ({"date": ""}, r"no value for 'date'"),
        ({"date": []}, r"no value for 'date': give at least one"),
        ({"date": {">": set()}}, r"no value for 'date': give at least one"),
        ("title>M", r"'title' cannot be > M: give a number, or a date such as 2019-09-27"),
        ("n>1|2", r"'n' cannot be > 1\|2: give a number"),
        ("n>=1*", r"'n' cannot be >= 1\*: give a number"),
        ({"n": {"<": True}}, r"'n' cannot be < true: give a number"),
        ({"n": {"<": [1, 2]}}, r"'n' cannot be < 1\|2: give a number"),
        ({"n": {"~": 1}}, r"no operator '~' for 'n': use one of = != >= <= > <"),
        ({"n": {1: 1}}, r"no operator 1 for 'n': use one of"),
        ({"n": {}}, r"nothing is asked of 'n': give {'n': {'>=': VALUE}}"),
        ({"n": None}, r"'n' cannot be compared with this NoneType: give a string, a finite number"),
        ({"n": [1, None]}, r"with this NoneType"),
        ({"n": b"x"}, r"with this bytes"),
        ({"n": {"=": {"=": 1}}}, r"with this dict"),
        ({"n": [[1]]}, r"with this list"),
        ({"n": float("nan")}, r"with this float"),
        ({"n": float("inf")}, r"with this float"),
        ({"n": 10**5000}, r"with this int"),
        ({3: 1}, r"the key 3 of a filter is not a string"),
        (5, r"the filter is 5: give a mapping such as {'date': '2019'} or strings such as 'date=2019'"),
        ({"date=2019"}, r"the filter is {'date=2019'}: give a mapping"),
    ],
)
def test_what_is_refused(where, reason):
    with pytest.raises(InputError, match=reason) as caught:
        parse(where)
    assert len(str(caught.value).splitlines()) == 1


keys = st.sampled_from(["date", "tags", "author", "paper.name", "source", "title"])
words = st.text(st.sampled_from("ab*?[]/.-01 é"), min_size=1, max_size=6).map(str.strip).filter(bool)
numbers = st.one_of(st.integers(-(10**20), 10**20), st.floats(allow_nan=False, allow_infinity=False))
dates = st.one_of(
    st.dates().map(str),
    st.dates().map(lambda date: str(date)[:7]),
    st.dates().map(lambda date: str(date)[:4]),
    st.datetimes(timezones=st.sampled_from([None, datetime.timezone.utc])).map(str),
)
ORDER = [">=", "<=", ">", "<"]


@settings(derandomize=True, max_examples=200, deadline=None, database=None)
@given(
    st.dictionaries(
        keys,
        st.dictionaries(
            st.sampled_from(["=", "!="]), st.lists(st.one_of(words, numbers, dates, st.booleans()), min_size=1, max_size=3)
        )
        | st.dictionaries(st.sampled_from(ORDER), st.one_of(numbers, dates)),
    ).map(lambda where: {key: asked for key, asked in where.items() if asked})
)
def test_the_shells_form_equals_the_mappings(where):
    def text(value: Any) -> str:
        return str(value).lower() if isinstance(value, bool) else str(value)

    # To a shell all are texts.
    where = {
        key: {operator: list(map(text, value)) if isinstance(value, list) else value for operator, value in asked.items()}
        for key, asked in where.items()
    }
    shell = [
        f"{key}{operator}{'|'.join(map(text, value)) if isinstance(value, list) else text(value)}"
        for key, asked in where.items()
        for operator, value in asked.items()
    ]
    assert parse(shell) == parse(where)
    assert parse(shell[::-1]) == parse(where)


@cache
def days(text: str) -> set[int]:
    """All days of a year, a month or a day, one by one."""
    day, found = datetime.date(1995, 1, 1), set()
    while day.year < 2006:
        if str(day).startswith(text):
            found.add(day.toordinal())
        day += datetime.timedelta(1)
    return found


def compares(operator: str, stored: Any, asked: Any) -> bool:
    """By the rules as they are written, from sets of days and Python's own comparison."""
    if isinstance(stored, str):
        mine, theirs = days(stored), days(asked)
        return {
            "=": mine <= theirs,
            ">": min(mine) > max(theirs),
            ">=": min(mine) >= min(theirs),
            "<": max(mine) < min(theirs),
            "<=": max(mine) <= max(theirs),
        }[operator]
    mine, theirs = float(stored), float(asked)
    return {"=": mine == theirs, ">": mine > theirs, ">=": mine >= theirs, "<": mine < theirs, "<=": mine <= theirs}[operator]


some_dates = st.dates(datetime.date(1998, 1, 1), datetime.date(2002, 12, 31)).flatmap(
    lambda d: st.sampled_from([str(d), str(d)[:7]])
)
small = st.one_of(st.integers(-5, 5), st.sampled_from([0.5, -1.5, 2.0]))


@settings(derandomize=True, max_examples=300, deadline=None, database=None)
@given(
    stored=st.lists(some_dates, max_size=3) | st.lists(small, max_size=3),
    operator=st.sampled_from(["=", *ORDER]),
    asked=some_dates | small,
    negated=st.booleans(),
)
@example(stored=["2000-02"], operator="<=", asked="2000-02-29", negated=False)
@example(stored=[], operator="=", asked=0, negated=True)
def test_numbers_and_dates_against_sets_of_days(stored, operator, asked, negated):
    same_kind = [value for value in stored if isinstance(value, str) == isinstance(asked, str)]
    expected = any(compares(operator, value, asked) for value in same_kind)
    if operator == "=" and negated:
        operator, expected = "!=", not expected
    assert holds({"key": {operator: asked}}, metadata={"key": stored}) == expected
    assert holds(f"key{operator}{asked}", metadata={"key": stored}) == expected
    if len(stored) == 1:
        assert holds({"key": {operator: asked}}, metadata={"key": stored[0]}) == expected


@settings(derandomize=True, max_examples=200, deadline=None, database=None)
@given(stored=st.lists(words, max_size=3), asked=st.lists(words, min_size=1, max_size=3))
def test_texts_against_fnmatch(stored, asked):
    def same(text: str, pattern: str) -> bool:
        is_pattern = any(sign in pattern for sign in "*?[")
        return text == pattern or (is_pattern and fnmatch.fnmatchcase(text, pattern))

    expected = any(same(text, pattern) for text in stored for pattern in asked)
    assert holds({"key": asked}, metadata={"key": stored}) == expected
    assert holds({"key": {"!=": asked}}, metadata={"key": stored}) != expected
    assert holds({"title": asked}, title=stored[0] if stored else "") == any(
        same(text, pattern) for text in stored[:1] for pattern in asked
    )


def equals_one(stored: Any, value: str, is_number: bool) -> bool:
    """Compare a stored value with one value of a condition, by the rules in their order."""
    text = str(stored).lower() if isinstance(stored, bool) else str(stored)
    if text == value or (isinstance(stored, bool) and text == value.lower()):
        return True
    if any(sign in value for sign in "*?["):
        return fnmatch.fnmatchcase(text, value)
    number, date = read(value)
    if number is not None and isinstance(stored, int | float) and not isinstance(stored, bool):
        return stored == number
    own = read(text)
    if is_number and isinstance(stored, str) and own.number is not None:
        return own.number == number
    if date is None or own.date is None:
        return False
    shift = 0 if own.date.offset is None or date.offset is None else date.offset - own.date.offset
    return date.start <= own.date.start + shift and own.date.end + shift <= date.end


moments = st.datetimes(datetime.datetime(2019, 1, 1), datetime.datetime(2019, 1, 3)).flatmap(
    lambda at: st.tuples(
        st.sampled_from([4, 7, 10, 13, 16, 19, 23]), st.sampled_from(["", "Z", "+02:00", "-01"])
    ).map(lambda cut: at.isoformat(timespec="milliseconds")[: cut[0]] + (cut[1] if cut[0] > 13 else ""))
)  # fmt: skip
close_numbers = st.sampled_from([0, 1, 1.0, 2019, 2019.0, -1, 0.5, 10**17, float(10**17), 10**18 + 1, 2**53 + 1, float(2**53)])
texts_of_numbers = st.sampled_from(
    ["1", "1.0", "01", "+1", "1e0", "2019.0", "0.5", ".5", "1e999", "nan", "inf", "9" * 30, "9" * 70]
)
literals = st.sampled_from(
    ["true", "True", "TRUE", "false", "*", "?", "[", "t*", "20*", "*1*", "[12]*", "2019-??", "*-01*", "x|y"]
)
any_values = st.one_of(words, moments, close_numbers, texts_of_numbers, literals, st.booleans())


@settings(derandomize=True, max_examples=1000, deadline=None, database=None)
@given(
    stored=st.lists(any_values | st.sampled_from([float("nan"), float("inf"), 10**400, "2019"]), max_size=3),
    values=st.lists(any_values, min_size=1, max_size=5),
)
@example(stored=["2019-03"], values=["2019", "2019-01-02"])
@example(stored=["2019-01-01T10:30:15Z"], values=["2019-01-01T12:30+02:00", "2019-01-02T12:30+02:00"])
@example(stored=["2019-01-01T12:30:15Z"], values=["2019-01-01T12:30+02:00"])
@example(stored=["2019-01-01T12:30:15"], values=["2019-01-01T12:30+02:00"])
def test_a_set_of_values_equals_what_one_of_them_equals(stored, values):
    (condition,) = parse({"key": values}).conditions
    expected = any(equals_one(each, value, value in condition.numbers) for each in stored for value in condition.values)
    assert condition.holds(stored) == expected
    assert Condition("key", "!=", condition.values, condition.numbers).holds(stored) != expected


def test_plain_values_are_not_compared_one_by_one(monkeypatch):
    readings: list[str] = []
    monkeypatch.setattr(condition_values, "_read_short", lambda text: readings.append(text) or condition_values.NOT_PARSED)
    (condition,) = parse({"key": [f"value {number}" for number in range(1000)] + ["2019-01-01"]}).conditions
    readings.clear()
    for number in range(100):
        condition.holds([f"other {number}"])
    assert len(readings) <= 100


def test_stars_are_matched_in_linear_time():
    # With backtracking, this one would take longer than the universe has existed.
    assert not holds({"title": "*a" * 50 + "*b"}, title="a" * 1000)


def test_a_key_of_many_dots_is_looked_up_by_the_names_of_the_article():
    class Names(dict[str, Any]):
        def get(self, *_: Any) -> Any:
            raise AssertionError("looked up a part of the key")

    assert not holds("." * 4000 + "=x", metadata=Names({"a": 1, "b.c": {"d": 2}}))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8) | dates,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "a.b", ""]), inner, max_size=3),
    max_leaves=8,
)


@settings(derandomize=True, max_examples=200, deadline=None, database=None)
@given(
    metadata=st.dictionaries(st.sampled_from(["a", "b", "a.b"]), json_values),
    key=st.sampled_from(["a", "b", "a.b", "a.b.a", "a.", ".", "b.a.b.a"]),
    value=words | numbers | dates,
)
def test_any_metadata_is_judged_and_negation_is_negation(metadata, key, value):
    assert holds({key: value}, metadata=metadata) != holds({key: {"!=": value}}, metadata=metadata)
    for operator in ORDER:
        bound = value if not isinstance(value, str) or (value[:1].isdigit() and "-" in value) else 7
        try:
            condition = parse({key: {operator: bound}})
        except InputError:
            continue
        condition.matches("x.md", "", metadata)
