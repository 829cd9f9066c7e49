"""The six dashboards, in the order in which they link to each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tools.dashboards.boards import budgets, chargeback, engineering, health, models, overview

if TYPE_CHECKING:
    from tools.dashboards.board import Board

BOARDS: tuple[Board, ...] = (
    overview.BOARD,
    budgets.BOARD,
    chargeback.BOARD,
    models.BOARD,
    engineering.BOARD,
    health.BOARD,
)
