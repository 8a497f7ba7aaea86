"""What somebody who may only read may ask: one statement, as the engine itself parses it, held against what is allowed.

The text is parsed and written anew by the engine (comments gone, a hidden INSERT visible, two statements refused), then its tree is walked: a kind of node, a
function, a table function or a table that is not on a list here is refused. Nothing is run until all of it is known.

    Forbidden (PermissionError)     with the code and the words that ClickHouse would use
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

Ask = Callable[[str, Mapping[str, str]], str]
"""Runs a query of ours and gives its answer as text."""

NODES: Final = frozenset(["SelectWithUnionQuery", "SelectIntersectExceptQuery", "SelectQuery", "ExpressionList", "TablesInSelectQuery", "TablesInSelectQueryElement", "TableExpression", "TableIdentifier", "TableJoin", "ArrayJoin", "Identifier", "Literal", "Function", "Subquery", "Asterisk", "QualifiedAsterisk", "ColumnsRegexpMatcher", "ColumnsListMatcher", "QualifiedColumnsRegexpMatcher", "QualifiedColumnsListMatcher", "ColumnsTransformerList", "ColumnsExceptTransformer", "ColumnsReplaceTransformer", "ColumnsReplaceTransformer::Replacement", "OrderByElement", "SampleRatio", "WithElement", "WindowDefinition", "WindowListElement", "InterpolateElement"])
ROOTS: Final = frozenset({"SelectWithUnionQuery", "Explain", "DescribeQuery", "ShowCreateTableQuery", "ShowCreateViewQuery", "ExistsTableQuery", "ExistsDatabaseQuery", "ExistsViewQuery"})
ABOUT: Final = ROOTS - {"SelectWithUnionQuery"}
TABLE_FUNCTIONS: Final = frozenset({"numbers", "numbers_mt", "zeros", "zeros_mt", "values", "view", "generateseries", "generate_series", "null"})
SYSTEM: Final = frozenset(["one", "numbers", "numbers_mt", "zeros", "zeros_mt", "tables", "columns", "databases", "settings", "functions", "table_functions", "table_engines", "data_type_families", "formats", "keywords", "time_zones", "collations"])
"""What of `system` says nothing of others: clients ask it for what there is."""
COMBINED: Final = re.compile(r"(?:If|Array|Map|ForEach|Distinct|OrDefault|OrNull|Resample|SimpleState|State|MergeState|Merge|ArgMin|ArgMax)$")
SHOW: Final = re.compile(r"SHOW (?:TABLES|DATABASES|COLUMNS|FULL TABLES|FULL COLUMNS)(?: (?:FROM|IN) [\w.`]+){0,2}(?: (?:NOT )?I?LIKE '(?:[^'\\]|\\.)*')?(?: LIMIT \d+)?", re.I)
QUOTED: Final = re.compile(r"'(?:[^'\\]|\\.|'')*'|`(?:[^`\\]|\\.)*`|\"(?:[^\"\\]|\\.)*\"")
LINE: Final = re.compile(r"( *)([\w:]+)(?: (.*))?$", re.S)
BEGINS: Final = re.compile(r"\(*(?:SELECT|WITH|FROM|DESCRIBE|SHOW CREATE|EXISTS|EXPLAIN)\b")
FORMAT: Final = re.compile(r"\s+FORMAT\s+(\w+)$")
OUTFILE: Final = re.compile(r"\bINTO\s+OUTFILE\b", re.I)


class Forbidden(PermissionError):
    """A statement that somebody who may only read may not run."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement that may be run: its text as the engine wrote it, the format that it names (empty: none), and whether it asks about the schema."""

    text: str
    format: str
    about: bool


@cache
def allowed() -> frozenset[str]:
    """The functions that say nothing but what they are given, in small letters."""
    return frozenset(files("sql").joinpath("functions.txt").read_text(encoding="utf-8").lower().split()) | {"lambda"}


def read_only(sql: str, parameters: Mapping[str, str], ask: Ask) -> Statement:
    """The statement, if it may be run by somebody who may only read. Raises Forbidden."""
    text = ask("SELECT formatQuerySingleLineOrNull({q:String})", {"q": escaped(sql)}).strip("\n")
    if text == "\\N":
        raise _no("one statement that can be parsed", 62, "SYNTAX_ERROR")
    bare = QUOTED.sub("''", text)
    if OUTFILE.search(bare):
        raise _no("INTO OUTFILE is not allowed to who may only read")
    if SHOW.fullmatch(text):
        return Statement(text, "", about=True)
    form = FORMAT.search(bare)
    if form:
        text = text[: text.rindex("FORMAT")].rstrip()
    if not BEGINS.match(text):
        raise _no(f"{text.split(' ', 1)[0].upper()[:40]} is not allowed to who may only read")
    nodes = list(_nodes(ask(f"EXPLAIN AST {text}", parameters)))
    if not nodes or nodes[0].kind not in ROOTS:
        raise _no(f"{text.split(' ', 1)[0].upper()[:40]} is not allowed to who may only read")
    for node in nodes[1:] if nodes[0].kind in ABOUT else nodes:
        _check(node)
    _check_tables(nodes)
    return Statement(text, form[1] if form else "", about=nodes[0].kind in ABOUT)


def escaped(value: str) -> str:
    """A text as the value of a parameter."""
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r").replace("\0", "\\0")


@dataclass(frozen=True, slots=True)
class _Node:
    depth: int
    kind: str
    said: str
    """What stands behind its kind, without alias and number of children."""


def _nodes(tree: str) -> Iterator[_Node]:
    for line in tree.splitlines():
        found = LINE.match(line)
        if not found:
            raise _no("a name with a line in it cannot be judged")
        said = re.sub(r"(?: \(alias .*)?(?: \(children \d+\))?$", "", found[3] or "")
        yield _Node(len(found[1]), found[2], "" if said.startswith(("(children", "(alias")) else said)


def _check(node: _Node) -> None:
    if node.kind not in NODES:
        raise _no(f"{node.kind} is not allowed to who may only read")
    if node.kind == "Function" and not _may(node.said):
        raise _no(f"function {node.said} is not allowed to who may only read")
    if node.kind in ("TableIdentifier", "Identifier") and not _known(node.said):
        raise _no(f"{node.said} is not open to who may only read", 497, "ACCESS_DENIED")


def _check_tables(nodes: list[_Node]) -> None:
    """What stands right below a table expression is a table: a function there makes one. What a question is about is a table too."""
    for above, node in itertools.pairwise(nodes):
        table = above.kind == "TableExpression" and node.depth == above.depth + 1
        if table and node.kind == "Function" and node.said.lower() not in TABLE_FUNCTIONS:
            raise _no(f"table function {node.said} is not allowed to who may only read")


def _may(name: str) -> bool:
    known, name = allowed(), name.strip("`")
    while name.lower() not in known and name.lower() not in TABLE_FUNCTIONS:
        shorter = COMBINED.sub("", name)
        if shorter == name:
            return False
        name = shorter
    return True


def _known(name: str) -> bool:
    """A name that leads to no table of others: unqualified, a column of something, or one of ours."""
    first, _, rest = name.replace("`", "").replace('"', "").partition(".")
    if first.lower() == "system":
        return rest.partition(".")[0] in SYSTEM
    return first.lower() != "information_schema" or rest.partition(".")[0].lower() in ("tables", "columns", "schemata", "views")


def _no(said: str, code: int = 164, name: str = "READONLY") -> Forbidden:
    return Forbidden(f"Code: {code}. DB::Exception: {said}. ({name})")
