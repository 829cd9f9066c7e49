"""With what SDKs and providers are tested: versions from pyproject.toml, files from what they import and name."""

from __future__ import annotations

import ast
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from packaging.requirements import Requirement
from packaging.version import Version

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).parents[2]
PACKAGES = {"botocore": "boto3", "perplexity": "perplexityai"}
"""SDK -> what is installed to have it, where that is not its name."""
EVERYWHERE = frozenset({"test_hosts.py", "test_mutations.py", "mutations.py", "bodies.py", "test_providers_page.py"})
"""Tests that go over all providers: they say nothing of one."""
_FEW = 3
"""More files of one folder are called by its name."""


class Versions(NamedTuple):
    """The versions of a package that the tests run with."""

    oldest: Version
    newest: Version


class _Words(NamedTuple):
    """What a test file imports, with all the modules above and all the names, and its strings."""

    imports: frozenset[str]
    strings: frozenset[str]


def package(sdk: str) -> str:
    """What is installed to have an SDK."""
    return PACKAGES.get(sdk, sdk.replace(".", "-").replace("_", "-"))


@cache
def versions() -> dict[str, Versions]:
    """Package -> the versions that some group of SDKs pins."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
    pinned: dict[str, list[Version]] = {}
    for name, group in groups.items():
        for entry in group if name.startswith("sdks") else ():
            if isinstance(entry, str):
                wanted = Requirement(entry)
                found = [Version(each.version) for each in wanted.specifier if each.operator == "=="]
                pinned.setdefault(wanted.name, []).extend(found)
    return {name: Versions(min(found), max(found)) for name, found in pinned.items() if found}


def tests_of_sdk(sdk: str) -> list[str]:
    """The test files that import an SDK, or are called like it: paths from the root, folders where they are many."""
    imported = re.compile(rf"({re.escape(sdk)}|{re.escape(package(sdk))})(_v\d+)?(\.|$)")
    return _gathered(
        path
        for path in _tests("capture", "sdks", "older_sdks")
        if path.stem == sdk or any(imported.match(module) for module in _words(path).imports)
    )


def tests_of_provider(name: str, module: str) -> list[str]:
    """The test files that import the file of a provider, or name it; a plain word (`lambda`) may mean anything."""
    imported = f"otel_aicost.providers.{module}"
    named = {name} if "." in name or name == module else set()
    return _gathered(
        path
        for path in _tests("providers", "sdks", "older_sdks")
        if path.name not in EVERYWHERE and (imported in _words(path).imports or named & _words(path).strings)
    )


def _tests(*folders: str) -> Iterable[Path]:
    for folder in folders:
        yield from sorted((ROOT / "tests" / folder).rglob("*.py"))


def _gathered(paths: Iterable[Path]) -> list[str]:
    folders: dict[str, list[str]] = {}
    for path in paths:
        there = path.relative_to(ROOT)
        folders.setdefault(str(there.parent), []).append(str(there))
    return [name for folder, found in folders.items() for name in (found if len(found) <= _FEW else [folder])]


@cache
def _words(path: Path) -> _Words:
    imports: set[str] = set()
    strings: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imports |= {above for alias in node.names for above in _above(alias.name)}
        elif isinstance(node, ast.ImportFrom) and node.module:
            imports |= {*_above(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            strings.add(node.value)
    return _Words(frozenset(imports), frozenset(strings))


def _above(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[: count + 1]) for count in range(len(parts))]
