"""What every reader of a written file says when it is wrong: the line, and the word that was probably meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from tomllib import TOMLDecodeError


def syntax_line(wrong: TOMLDecodeError) -> int:
    """The line that a broken TOML file breaks on, or 1."""
    return int(m[1]) if (m := re.search(r"line (\d+)", str(wrong))) else 1


def line_of(text: str, key: str) -> int:
    """The first line on which a key or a word stands, or 1."""
    found = re.search(rf"(?m)^.*(?<![\w-]){re.escape(key)}(?![\w-])", text)
    return text.count("\n", 0, found.end()) + 1 if found else 1


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`Did you mean …?`, or nothing where no known word is close."""
    close = difflib.get_close_matches(word, known, 1)
    return f"Did you mean {close[0]}?" if close else ""


def nearest(word: str, known: list[str]) -> str:
    """`Did you mean …?`, or what there is."""
    return did_you_mean(word, known) or f"Known: {', '.join(known[:12])} …"
