"""The one door to ClickHouse: numbered schema, named questions, inserts with a token.

    StoreError            anything that ClickHouse refuses, in one sentence
      StoreAway           it does not answer: try again
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.resources import files
from typing import Any

import clickhouse_connect
from clickhouse_connect.driver.exceptions import ClickHouseError


class StoreError(Exception):
    """ClickHouse refused."""


class StoreAway(StoreError):
    """ClickHouse does not answer."""


def question(name: str) -> str:
    """The text of sql/queries/<name>.sql."""
    return files("sql").joinpath("queries", f"{name}.sql").read_text(encoding="utf-8")


def migrations() -> list[tuple[str, list[str]]]:
    """(name, statements) of every schema file in order of number."""
    folder = files("sql").joinpath("schema")
    texts = sorted((f.name, f.read_text(encoding="utf-8")) for f in folder.iterdir() if f.name.endswith(".sql"))
    return [(name, [s.strip() for s in re.sub(r"--[^\n]*", "", text).split(";") if s.strip()]) for name, text in texts]


class Store:
    """A connection; one for each thread that uses it. `url` is http(s)://[user:password@]host:port[/database]."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client: Any = None

    @property
    def client(self) -> Any:
        if self._client is None:
            try:
                self._client = clickhouse_connect.get_client(dsn=self.url, autogenerate_session_id=False, send_receive_timeout=120)
            except Exception as wrong:
                raise StoreAway(f"no ClickHouse at {self.place}: {_first_line(wrong)}") from None
        return self._client

    @property
    def place(self) -> str:
        """The address without its password."""
        return re.sub(r"//[^@/]*@", "//", self.url)

    def migrate(self) -> list[str]:
        """Brings the schema up to date; returns the names of the files that were new."""
        self.command("CREATE TABLE IF NOT EXISTS migrations (name String, at DateTime DEFAULT now()) ENGINE = MergeTree ORDER BY name")
        done = {row["name"] for row in self.rows("SELECT name FROM migrations")}
        fresh = [(name, statements) for name, statements in migrations() if name not in done]
        for name, statements in fresh:
            for statement in statements:
                self.command(statement)
            self.command("INSERT INTO migrations (name) VALUES ({name:String})", {"name": name})
        return [name for name, _ in fresh]

    def command(self, sql: str, parameters: dict[str, Any] | None = None) -> Any:
        return self._try(lambda: self.client.command(sql, parameters=parameters))

    def rows(self, sql: str, parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """The answer as a list of dicts."""
        result = self._try(lambda: self.client.query(sql, parameters=parameters))
        return [dict(zip(result.column_names, row, strict=True)) for row in result.result_rows]

    def ask(self, name: str, **parameters: Any) -> list[dict[str, Any]]:
        """The answer to a named question."""
        return self.rows(question(name), parameters)

    def insert(self, table: str, columns: Iterable[str], rows: list[tuple[Any, ...]], token: str = "") -> None:
        """Inserts rows; with a token, the same insert again changes nothing. A tokened insert is one block (docs/decisions.md, 6)."""
        self._try(lambda: self._one_block(table, list(columns), rows, token) if token else self.client.insert(table, rows, column_names=list(columns)))

    def _one_block(self, table: str, columns: list[str], rows: list[tuple[Any, ...]], token: str) -> None:
        """The client cuts an insert into blocks by the size of a few rows that it looks at; under a token only the first block would be kept."""
        settings = {"insert_deduplication_token": token, "deduplicate_blocks_in_dependent_materialized_views": 1}
        context = self.client.create_insert_context(table, columns, settings=settings, data=rows)
        context.block_row_count = len(rows)
        self.client.insert(context=context)

    def _try(self, work: Any) -> Any:
        try:
            return work()
        except StoreError:
            raise
        except ClickHouseError as wrong:
            kind = StoreAway if re.search(r"connect|timed? ?out|Connection|503|refused|reset", str(wrong), re.I) and "Code:" not in str(wrong) else StoreError
            raise kind(f"{self.place}: {_first_line(wrong)}") from None
        except (OSError, Exception) as wrong:
            raise StoreAway(f"{self.place}: {_first_line(wrong)}") from None


def _first_line(wrong: BaseException) -> str:
    return str(wrong).strip().splitlines()[0][:400] if str(wrong).strip() else type(wrong).__name__
