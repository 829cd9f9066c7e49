"""Reading a YAML file of the user's: every mistake told at once, by file, line and key.

It works on the nodes of the document rather than on its values: they know their lines, and `1.10` is still the text
that was written.
"""

from __future__ import annotations

import re
from datetime import date
from difflib import get_close_matches
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from typing import TypeVar

    from otel_aicost.errors import ConfigError

    T = TypeVar("T")

TAG = "tag:yaml.org,2002:"
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


class WrongError(Exception):
    """What is wrong with the value of one key."""


def read_bytes(path: Path, failure: type[ConfigError]) -> bytes:
    """The bytes of a file; one that cannot be read is raised as a `failure`."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise failure([f"{path}:1: file: cannot be read: {error.strerror or error}"]) from error


def compose(raw: bytes, name: str, failure: type[ConfigError]) -> yaml.Node | None:
    """The root node of the file called `name`, `None` if it is empty; what is not YAML is raised as a `failure`."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        root: yaml.Node | None = yaml.compose(raw, Loader=loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise failure([f"{name}:{line}: file: is not YAML: {error.problem}"]) from error
    except (yaml.YAMLError, UnicodeError, RecursionError) as error:
        raise failure([f"{name}:1: file: is not YAML: {type(error).__name__}"]) from error
    return root


class Reader:
    """Walks the nodes of one file, collecting mistakes as (line, text)."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.mistakes: list[tuple[int, str]] = []

    def done(self, failure: type[ConfigError]) -> None:
        """Raise a `failure` with all mistakes, if there are any, in the order of the file."""
        if self.mistakes:
            raise failure([text for _, text in sorted(self.mistakes, key=lambda mistake: mistake[0])])

    def fields(self, node: yaml.Node, at: str, needed: tuple[str, ...], known: tuple[str, ...]) -> dict[str, yaml.Node]:
        """Return the nodes of a mapping by key; unknown, repeated and missing keys are mistakes."""
        if not isinstance(node, yaml.MappingNode):
            self.say(line_of(node), at or "file", f"must be a mapping with {', '.join(needed)}")
            return {}
        found: dict[str, yaml.Node] = {}
        for key_node, value in node.value:
            key = str(key_node.value)
            where = f"{at}.{key}" if at else key
            if key not in (*needed, *known):
                near = get_close_matches(key, (*needed, *known), 1)
                hint = f"; is it `{near[0]}`?" if near else f"; known: {', '.join((*needed, *known))}"
                self.say(line_of(key_node), where, f"unknown key{hint}")
            elif key in found:
                self.say(line_of(key_node), where, "is given twice; keep one")
            else:
                found[key] = value
        for key in needed:
            if key not in found:
                self.say(line_of(node), f"{at}.{key}" if at else key, "is missing")
        return found

    def items(self, fields: Mapping[str, yaml.Node], at: str, key: str) -> Iterator[tuple[int, yaml.Node]]:
        node = fields.get(key)
        if node is None:
            return
        if isinstance(node, yaml.SequenceNode):
            yield from enumerate(node.value)
        else:
            self.say(line_of(node), f"{at}.{key}" if at else key, "must be a list")

    def value(self, fields: Mapping[str, yaml.Node], at: str, key: str, read: Callable[[yaml.Node], T]) -> T | None:
        """Return what `read` makes of a key's node; `None` where it is absent or wrong."""
        node = fields.get(key)
        if node is None:
            return None
        try:
            return read(node)
        except WrongError as wrong:
            self.say(line_of(node), f"{at}.{key}" if at else key, str(wrong))
            return None

    def say(self, line: int, key: str, what: str) -> None:
        self.mistakes.append((line, f"{self.name}:{line}: {key}: {what}"))


def line_of(node: yaml.Node) -> int:
    """The line a node begins on, from 1."""
    return int(node.start_mark.line) + 1


def scalar(node: yaml.Node, kinds: tuple[str, ...], expected: str) -> str:
    """The text of a node that YAML takes for one of `kinds` (`str`, `int`, `bool` ...)."""
    if not isinstance(node, yaml.ScalarNode) or node.tag.removeprefix(TAG) not in kinds:
        shown = f" and not {node.value!r}" if isinstance(node, yaml.ScalarNode) else ""
        msg = f"must be {expected}{shown}"
        raise WrongError(msg)
    return str(node.value)


def text_of(node: yaml.Node) -> str:
    """The text of a node that is text, and not empty."""
    text = scalar(node, ("str",), "text, in quotes if it looks like a number or a date").strip()
    if not text:
        msg = "is empty"
        raise WrongError(msg)
    return text


def day_of(node: yaml.Node) -> str:
    """A day, as an ISO date."""
    text = scalar(node, ("timestamp", "str"), "a day such as 2026-11-21 (UTC)")
    try:
        if not _DAY.fullmatch(text):
            raise ValueError  # noqa: TRY301 - the same answer as for the 31st of February
        return date.fromisoformat(text).isoformat()
    except ValueError:
        msg = f"must be a day such as 2026-11-21 (UTC) and not {text!r}"
        raise WrongError(msg) from None


def flag(node: yaml.Node) -> bool:
    """True or false."""
    return scalar(node, ("bool",), "true or false").lower() in {"true", "yes", "on"}


def pairs(node: yaml.Node) -> Iterator[tuple[str, yaml.Node]]:
    """The keys and nodes of a mapping that is not empty."""
    if not isinstance(node, yaml.MappingNode) or not node.value:
        msg = "must be a mapping of names to text"
        raise WrongError(msg)
    for key, value in node.value:
        yield text_of(key), value


def list_of_text(node: yaml.Node) -> tuple[str, ...]:
    """The texts of a list that is not empty."""
    if not isinstance(node, yaml.SequenceNode) or not node.value:
        msg = "must be a list of text"
        raise WrongError(msg)
    return tuple(text_of(item) for item in node.value)
