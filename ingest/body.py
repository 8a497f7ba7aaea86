"""What the body of a request says: unpacked within bounds, in the letters that it was written in, as JSON.

    Unread (ValueError)    status and a sentence that says what to send instead
"""

from __future__ import annotations

import codecs
import zlib
from typing import Any, Final

import msgspec

LARGEST: Final = 8 << 20
ANY_HEADER: Final = 47
"""zlib's word for: gzip or zlib, whichever it is."""
RAW: Final = -15
MARKS: Final = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
"""What some systems put before their text, and what they mean by it."""


class Unread(ValueError):
    """A body that cannot be read."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(said)
        self.status = status


def unpacked(raw: bytes, coding: str) -> bytes:
    """The body before it was packed for the way (content-encoding); never more than LARGEST bytes of it."""
    coding = coding.strip().lower()
    if coding in ("", "identity"):
        return raw
    if coding not in ("gzip", "x-gzip", "deflate"):
        raise Unread(415, f"content-encoding {coding} is not read here. Send the body plain, or as gzip or deflate")
    for bits in (ANY_HEADER, RAW) if coding == "deflate" else (ANY_HEADER,):
        reader = zlib.decompressobj(bits)
        try:
            out = reader.decompress(raw, LARGEST + 1)
        except zlib.error:
            continue
        if len(out) > LARGEST:
            raise Unread(413, f"the body is larger than {LARGEST:,} bytes when it is unpacked. Send the events in several posts")
        if not reader.eof:
            raise Unread(400, f"the body ends in the middle of its {coding}. Send it whole")
        return out
    raise Unread(400, f"the body is no {coding}, as its header content-encoding says. Send it plain, or packed as the header says")


def written(raw: bytes, charset: str | None) -> bytes | str:
    """The text: UTF-8, or what a mark before it or its header says."""
    for mark, name in MARKS:
        if raw.startswith(mark):
            raw, charset = raw[len(mark) :] if name == "utf-8" else raw, name
            break
    if charset is None or charset.lower().replace("_", "-") in ("utf-8", "utf8", "us-ascii"):
        return raw
    try:
        return raw.decode(charset)
    except LookupError:
        raise Unread(415, f"charset {charset} is not known. Send UTF-8") from None
    except UnicodeDecodeError as wrong:
        raise Unread(422, f"the body is no {charset}: byte {wrong.start}. Send UTF-8, or name its charset in content-type") from None


def said(raw: bytes, coding: str = "", charset: str | None = None) -> Any:
    """The JSON of a body. Raises Unread."""
    try:
        return msgspec.json.decode(written(unpacked(raw, coding), charset))
    except (msgspec.DecodeError, RecursionError) as wrong:
        raise Unread(422, f"not JSON: {wrong}") from None
    except UnicodeDecodeError:
        raise Unread(422, "not JSON in UTF-8. Send UTF-8, or name the charset in content-type (application/json; charset=gbk)") from None
