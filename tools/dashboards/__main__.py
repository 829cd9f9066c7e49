"""Write the dashboards: `python -m tools.dashboards`."""

from __future__ import annotations

import json
from pathlib import Path

from tools.dashboards.boards import BOARDS

FOLDER = Path(__file__).parents[2] / "grafana" / "dashboards"


def files() -> dict[str, str]:
    """File name -> what is in it."""
    return {
        f"{board.uid.removeprefix('aicost-')}.json": json.dumps(board.json(), indent=2, ensure_ascii=False) + "\n"
        for board in BOARDS
    }


def main() -> None:
    """Write what has changed, and remove what is no dashboard any more."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    wanted = files()
    for name, content in wanted.items():
        (FOLDER / name).write_text(content, encoding="utf-8")
    for path in FOLDER.glob("*.json"):
        if path.name not in wanted:
            path.unlink()


if __name__ == "__main__":
    main()
