"""The budgets of a file hold as the file is now."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from otel_aicost.config import Settings, load_budgets
from otel_aicost.observers.plans import Plans

if TYPE_CHECKING:
    from pathlib import Path

ONE = "budgets: [{name: b, limit: %s USD, period: day}]"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "aicost.yaml"
    path.write_text(ONE % 1)
    return path


@pytest.fixture
def plans(file: Path) -> Plans:
    return Plans(file, lambda: load_budgets(Settings(config=file)))


def limit(plans: Plans) -> int | None:
    return plans.now().budgets[0].limits.nano


@pytest.mark.parametrize("amount", ["2", "0.5"])
def test_a_changed_file_holds_at_once(plans: Plans, file: Path, amount: str) -> None:
    """Up or down, the next question gets the new limit, and whoever asked to be told is told once."""
    told: list[object] = []
    plans.changed = told.append
    assert limit(plans) == 10**9
    assert told == []
    file.write_text(ONE % amount)
    assert limit(plans) == int(float(amount) * 10**9)
    assert told == [plans.now()]


def test_a_file_put_in_its_place_holds_at_once(plans: Plans, file: Path) -> None:
    """Editors and Kubernetes replace a file by another; of the same size and time it is another all the same."""
    before = file.stat()
    other = file.with_name("other")
    other.write_text(ONE % 2)
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert other.stat().st_size == before.st_size
    other.rename(file)
    assert limit(plans) == 2 * 10**9


@pytest.mark.parametrize("change", ["wrong", "gone"])
def test_a_file_that_is_wrong_changes_nothing(
    plans: Plans, file: Path, caplog: pytest.LogCaptureFixture, change: str
) -> None:
    """With a mistake in it, or gone, what was read before holds on, it is said once; mended, it holds again."""
    if change == "wrong":
        file.write_text("budgets: [{name: b}]")
    else:
        file.unlink()
    assert [limit(plans), limit(plans)] == [10**9, 10**9]
    assert caplog.text.count("stay as they were") == 1
    file.write_text(ONE % 3)
    assert limit(plans) == 3 * 10**9


def test_without_a_file_nothing_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Budgets of variables never change."""
    plans = Plans(None, lambda: load_budgets(Settings(config=None)))
    monkeypatch.setattr(os, "stat", None)
    assert plans.now().budgets == ()
