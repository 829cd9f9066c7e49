"""Write docs/providers.md: `python -m tools.providers`."""

from __future__ import annotations

from tools.providers.page import text
from tools.providers.tested import ROOT

PAGE = ROOT / "docs" / "providers.md"


def main() -> None:
    """Write what the page is to say."""
    PAGE.write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    main()
