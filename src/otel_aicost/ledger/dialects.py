"""Where SQLite and PostgreSQL say the same thing in different words: days, tags, and the order of texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import JSON, ColumnElement, Select, Table, Text, UnaryExpression, cast, func, literal, select, true
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

if TYPE_CHECKING:
    from sqlalchemy.sql.compiler import SQLCompiler

_SECONDS: Final = 86_400


class _Day(FunctionElement[str]):
    """The date of a number of seconds since the epoch."""

    type = Text()
    inherit_cache = True


class _Tag(FunctionElement[str]):
    """The value of a tag: of the tags, the path SQLite wants, and the key PostgreSQL wants."""

    type = Text()
    inherit_cache = True


class _Bytes(FunctionElement[str]):
    """A text that is compared byte by byte, whatever language the database was made for."""

    type = Text()
    inherit_cache = True


def day_of(number: ColumnElement[Any]) -> ColumnElement[Any]:
    """The date (`YYYY-MM-DD`) of a number of days since the epoch."""
    return _Day(number * literal(_SECONDS, literal_execute=True))


def tag_of(table: Table, key: str) -> ColumnElement[Any]:
    """The value of a tag, NULL where a call has it not; keys hold no quotes (`tags.KEY`)."""
    # Quoted, so that a dot in a key is part of the key.
    path = literal(f'$."{key}"', literal_execute=True)
    return _Tag(table.c.tags, path, literal(key, literal_execute=True))


def keys_of(table: Table, dialect: str) -> Select[Any]:
    """Every key of the tags in a table, once."""
    if dialect == "postgresql":
        return select(func.json_object_keys(cast(table.c.tags, JSON))).distinct()
    each = func.json_each(table.c.tags).table_valued("key")
    return select(each.c.key).select_from(table.join(each, true())).distinct()


def in_order(text: ColumnElement[Any], *, last: bool = False) -> UnaryExpression[Any]:
    """For ORDER BY: the same order in every database, NULL first; with `last`, backwards."""
    return _Bytes(text).desc().nulls_last() if last else _Bytes(text).asc().nulls_first()


def _parts(element: FunctionElement[str], compiler: SQLCompiler, options: Any) -> list[str]:  # noqa: ANN401
    return [compiler.process(clause, **options) for clause in element.clauses]


@compiles(_Day, "sqlite")
def _day_sqlite(element: _Day, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401
    return f"date({_parts(element, compiler, options)[0]}, 'unixepoch')"


@compiles(_Day, "postgresql")
def _day_postgresql(element: _Day, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401
    return f"to_char(to_timestamp({_parts(element, compiler, options)[0]}) AT TIME ZONE 'UTC', 'YYYY-MM-DD')"


@compiles(_Tag, "sqlite")
def _tag_sqlite(element: _Tag, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401
    tags, path, _ = _parts(element, compiler, options)
    return f"json_extract({tags}, {path})"


@compiles(_Tag, "postgresql")
def _tag_postgresql(element: _Tag, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401
    tags, _, key = _parts(element, compiler, options)
    return f"(CAST({tags} AS json) ->> {key})"


@compiles(_Bytes, "sqlite")
def _bytes_sqlite(element: _Bytes, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401
    return _parts(element, compiler, options)[0]


@compiles(_Bytes, "postgresql")
def _bytes_postgresql(element: _Bytes, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401
    return f'({_parts(element, compiler, options)[0]}) COLLATE "C"'
