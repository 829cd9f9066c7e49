from __future__ import annotations

from tools.dashboards.__main__ import FOLDER, files
from tools.dashboards.boards import BOARDS


def test_committed_dashboards_are_those_the_code_makes():
    """What is in the repository is to the byte what `python -m tools.dashboards` writes."""
    assert {path.name: path.read_text(encoding="utf-8") for path in FOLDER.iterdir()} == files()


def test_dashboards_keep_their_addresses():
    """The uids, which bookmarks and alerts point to, are these six for ever."""
    assert [board.uid for board in BOARDS] == [
        "aicost-overview",
        "aicost-budgets",
        "aicost-chargeback",
        "aicost-models",
        "aicost-engineering",
        "aicost-health",
    ]


def test_rows_hold_their_panels():
    """No panel stands above the heading of its row or below the next one."""
    for board in BOARDS:
        panels = iter(board.json()["panels"])
        lines = [(panel["id"] // 100, panel["gridPos"]["y"]) for panel in panels]
        assert lines == sorted(lines, key=lambda line: line[0])
        tops = [min(y for number, y in lines if number == row) for row in sorted({number for number, _ in lines})]
        assert tops == sorted(tops)
