"""What docs/providers.md says."""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from otel_aicost import providers
from otel_aicost.capture.sdks import HTTP, NAMES, SDKS
from otel_aicost.prices.catalogue import Catalogue, load_supplement
from otel_aicost.providers import every, others
from otel_aicost.providers.base import same
from tools.providers import endpoints, tested

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from otel_aicost.providers.base import Provider

PROSE = Path(__file__).with_name("page.md")
"""The page as it is written by hand, with marks where the code has its say."""
OWN_FILE = "your price file"
_CODE = "../src/otel_aicost"


def text() -> str:
    """The whole page."""
    written = PROSE.read_text(encoding="utf-8")
    parts = {
        "providers": _providers(),
        "sdks": _sdks(),
        "families": _families(),
        "dialects": endpoints.dialects(),
        "details": _details(),
    }
    for name, part in parts.items():
        written = written.replace(f"<!-- {name} -->", part)
    return written


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *others = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([head, "|" + "---|" * len(rows[0]), *others])


def _code(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _links(paths: Iterable[str]) -> str:
    return ", ".join(f"[{path.removeprefix('tests/')}](../{path})" for path in paths)


def _named(name: str) -> str:
    """A provider, with a link to what is told of it."""
    heading = next((heading for heading in _headings().values() if f"`{name}`" in heading), None)
    if heading is None:
        return f"`{name}`"
    return f"[`{name}`](#{re.sub(r'[^a-z0-9_ -]', '', heading).replace(' ', '-')})"


def _providers() -> str:
    catalogue = Catalogue.load(None)
    free: set[str] = set()
    listed: set[str] = set()
    for entry in load_supplement().entries:
        (listed if entry.periods[-1].rates else free).add(entry.provider)

    def prices(name: str) -> str:
        base = catalogue.base is not None and catalogue.base.knows(name)
        sources = (("genai-prices", base), ("supplement", name in listed))
        return ", ".join(word for word, there in sources if there) or ("free" if name in free else OWN_FILE)

    rows = [["provider", "hosts", "SDK", "prices", "beside the dialects", "tests"]]
    rows += [
        [
            _named(provider.name),
            ", ".join((*(f"`{host}`" for host in provider.hosts), *(f"local port {port}" for port in provider.ports))),
            _code(_own_sdks(provider)),
            prices(provider.name),
            ", ".join(endpoints.operations(provider)),
            _links(tested.tests_of_provider(provider.name, _module(provider))) or "by the dialect",
        ]
        for provider in _sorted()
    ]
    return _table(rows)


def _sorted() -> list[Provider]:
    return sorted(every(), key=lambda provider: provider.name)


def _is_special(provider: Provider) -> bool:
    """Whether there is more to tell of it than its hosts."""
    told = provider.endpoints or provider.polls or provider.priced_by_request
    return bool(told) or provider.adapt is not same


def _own_sdks(provider: Provider) -> list[str]:
    return list(dict.fromkeys(sdk.name for sdk in SDKS if provider.name in {sdk.home, sdk.name}))


def _module(provider: Provider) -> str:
    """The file of a provider, by its name in the room."""
    files = {name: one for name, one in vars(providers).items() if isinstance(one, ModuleType) and one is not others}
    for name, module in files.items():
        for value in vars(module).values():
            if value is provider or (isinstance(value, tuple) and provider in value):
                return name
    raise LookupError(provider.name)


def _sdks() -> str:
    rows = [["SDK", "package", "oldest tested", "newest tested", "who is paid", "seen by", "tests"]]
    for name in NAMES:
        parts = [sdk for sdk in SDKS if sdk.name == name]
        homes = sorted({sdk.home for sdk in parts if sdk.home})
        rows.append(
            [
                f"`{name}`",
                f"`{tested.package(name)}`",
                *(str(version) for version in tested.versions().get(tested.package(name), ("not pinned",) * 2)),
                _code(homes) or "by host",
                ", ".join(dict.fromkeys(_capture(sdk.family) for sdk in parts)),
                _links(tested.tests_of_sdk(name)),
            ]
        )
    return _table(rows)


def _families() -> str:
    families = dict.fromkeys(sdk.family for sdk in (*SDKS, *HTTP))
    return "\n".join(f"- {_capture(family)}: {_told(f'otel_aicost.capture.{family}')}" for family in families)


def _capture(family: str) -> str:
    return f"[{family}]({_CODE}/capture/{family}.py)"


def _told(module: str) -> str:
    """What a file says of itself."""
    return " ".join((import_module(module).__doc__ or "").split())


def _details() -> str:
    return "\n\n".join(f"### {heading}\n\n{told}" for told, heading in _headings().items())


@cache
def _headings() -> dict[str, str]:
    """What there is to tell of providers -> the names of those of which it is told."""
    found: dict[str, list[str]] = {}
    for provider in _sorted():
        if _is_special(provider):
            module = _module(provider)
            told = f"{_told(f'{providers.__name__}.{module}')} [{module}.py]({_CODE}/providers/{module}.py)"
            own = endpoints.own(provider)
            found.setdefault(f"{told}\n\n{own}" if own else told, []).append(provider.name)
    return {told: _code(names) for told, names in found.items()}
