"""Labels out of what applications name things: valid names, and no more values than Prometheus can bear."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from otel_aicost.names import OTHER, RUNNING_TOTALS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MOST_VALUES: Final = 200
_OWN: Final = frozenset({"le", *(label for family in RUNNING_TOTALS.values() for label in family.labels)})
_NOT_IN_A_NAME: Final = re.compile(r"[^a-zA-Z0-9_]")


def label_names(tags: Iterable[str]) -> dict[str, str]:
    """Tag key -> its label: `team.name` is `team_name`; one that is taken, or no name at all, begins with `tag_`.

    A key that is a label as it stands comes first, so that it keeps its name whatever other keys turn up.
    """
    names: dict[str, str] = {}
    for tag in sorted(tags, key=lambda tag: (_NOT_IN_A_NAME.search(tag) is not None, tag)):
        name = _NOT_IN_A_NAME.sub("_", tag)
        while name in _OWN or name in names.values() or name.startswith("__") or not name[:1].strip("0123456789"):
            name = f"tag_{name}"
        names[tag] = name
    return names


class Cap:
    """Keeps the first `most` values of each label; all others are `other`.

    Who is first is told by when each value was first seen in the ledger, so another exporter, or this one after a
    restart, names the same ones. What was once served under its own name keeps it as long as the process lives, even
    if a call arrives late and would have been before it: no counter falls because money moves to `other`.
    """

    def __init__(self, most: int = MOST_VALUES) -> None:
        self.most = most
        self._kept: dict[str, set[str]] = {}

    def admit(self, label: str, first_seen: Mapping[str, int]) -> int:
        """Take note of all values of a label and when each was first seen; returns how many are `other`."""
        kept = self._kept.setdefault(label, {""})
        left = self.most + 1 - len(kept)  # one more: that there is no value is none
        new = sorted((first, value) for value, first in first_seen.items() if value not in kept)
        kept.update(value for _, value in new[:left])
        return sum(value not in kept for value in first_seen)

    def shown(self, label: str, value: str) -> str:
        """The value, or `other`."""
        return value if value in self._kept[label] else OTHER
