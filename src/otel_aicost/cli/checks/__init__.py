"""What `aicost doctor` looks at: each check is a Section of facts and of findings about them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Level = Literal["fine", "note", "wrong"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence about what was found: `fine`, a `note` that may explain something, or `wrong`."""

    level: Level
    text: str


@dataclass(frozen=True, slots=True)
class Section:
    """One subject: its facts by name, and the findings."""

    name: str
    facts: dict[str, object] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def fine(self, text: str) -> None:
        """Add what is as it should be."""
        self.findings.append(Finding("fine", text))

    def note(self, text: str) -> None:
        """Add what the user may have meant, and may have forgotten."""
        self.findings.append(Finding("note", text))

    def wrong(self, text: str) -> None:
        """Add what has to be mended."""
        self.findings.append(Finding("wrong", text))
