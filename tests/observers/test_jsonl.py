"""The JSON-lines observer appends one object a record, to a file that others may write as well."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from otel_aicost import faults
from otel_aicost.model import Unpriced
from otel_aicost.observers.jsonl import JsonlObserver
from records import STARTED_NS, cost, record

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from otel_aicost.model import Record
    from otel_aicost.observers import Observer


def written(path: Path, *records: Record) -> list[dict[str, Any]]:
    observer: Observer = JsonlObserver(path)
    for one in records:
        observer.after(one, None)
    assert observer.close(10)
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_line_says_all_of_a_record(tmp_path: Path) -> None:
    """The line of a priced call holds its time, names, usage, money twice, and the bill, under documented keys."""
    one = record(id="r1", started_ns=STARTED_NS + 5, response_id="c1", tags={"user": "ü"})
    (got,) = written(tmp_path / "calls.jsonl", one)
    assert got == {
        "time": "2026-09-21T14:13:20.000000005Z",
        "id": "r1",
        "duration_ns": 840_000_000,
        "first_chunk_ns": None,
        "provider": "openai",
        "operation": "chat",
        "request_model": "gpt-4o",
        "response_model": "gpt-4o-2024-08-06",
        "asked_model": None,
        "response_id": "c1",
        "status": "ok",
        "estimated": False,
        "error_type": None,
        "service": "shop",
        "host": "api.openai.com",
        "stream": False,
        "sdk": "openai 3.54.0",
        "trace_id": None,
        "span_id": None,
        "usage_state": "reported",
        "usage": {"input_tokens": 2500, "output_tokens": 0},
        "conditions": {},
        "tags": {"user": "ü"},
        "cost_usd": "0.00625",
        "cost_nano": 6_250_000,
        "cost_source": "genai-prices",
        "price_id": "openai/gpt-4o",
        "price_date": "2024-10-02",
        "catalogue": "genai-prices 0.2.3",
        "parts": [
            {
                "meter": "input_tokens",
                "quantity": 2500,
                "price_usd": "2.50",
                "per": 1_000_000,
                "amount_nano": 6_250_000,
            }
        ],
        "unpriced": None,
        "unpriced_detail": None,
    }


def test_the_keys_are_documented(tmp_path: Path) -> None:
    """Every key of a line is named in docs/ledger.md."""
    from pathlib import Path as Paths

    (got,) = written(tmp_path / "calls.jsonl", record())
    page = (Paths(__file__).parents[2] / "docs" / "ledger.md").read_text(encoding="utf-8")
    lines = page.partition("## JSON lines")[2]
    assert [key for key in got if f"`{key}`" not in lines] == []


def test_a_small_cost_has_no_exponent(tmp_path: Path) -> None:
    """A cost of one nano-dollar is written digit by digit, and so is a quantity of seconds."""
    one = record(cost=cost("1E-9"), usage={"input_audio_seconds": Decimal("5.5")})
    (got,) = written(tmp_path / "calls.jsonl", one)
    assert (got["cost_usd"], got["cost_nano"]) == ("0.000000001", 1)
    assert got["usage"] == {"input_audio_seconds": "5.5"}


def test_an_unpriced_call_has_null_for_a_cost(tmp_path: Path) -> None:
    """A call without a price has no cost and a reason; one with an impossible cost as well."""
    unpriced = record(cost=None, unpriced=Unpriced("unknown_model", "no price for x"))
    impossible = record(cost=replace(cost(), total=Decimal("NaN")))
    first, second = written(tmp_path / "calls.jsonl", unpriced, impossible)
    assert (first["cost_usd"], first["cost_nano"], first["unpriced"]) == (None, None, "unknown_model")
    assert (second["cost_usd"], second["cost_nano"], second["unpriced"]) == (None, None, "pricing_failed")


def test_the_file_is_private_and_appended_to(tmp_path: Path) -> None:
    """The file is made with mode 0600 whatever the umask, and what is in it stays."""
    path = tmp_path / "calls.jsonl"
    before = os.umask(0)
    try:
        written(path, record(id="a"))
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [got["id"] for got in written(path, record(id="b"))] == ["a", "b"]


def test_an_unwritable_path_is_said_once_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Without its directory no line is written: every record is counted, one warning names the path."""
    observer = JsonlObserver(tmp_path / "missing" / "calls.jsonl")
    for _ in range(3):
        observer.after(record(), None)
        assert observer.flush(10)
    assert observer.lost == 3
    assert len([line for line in caplog.messages if "missing/calls.jsonl" in line]) == 1
    assert faults.counts() == {"jsonl": 3}
    (tmp_path / "missing").mkdir()
    observer.after(record(), None)
    assert observer.close(10)
    assert (observer.lost, len((tmp_path / "missing" / "calls.jsonl").read_text().splitlines())) == (3, 1)


def test_a_record_that_is_none_keeps_no_other_out(tmp_path: Path) -> None:
    """One record that cannot be told as JSON is counted; those before and after it are written."""
    path = tmp_path / "calls.jsonl"
    observer = JsonlObserver(path)
    for one in (record(), record(started_ns=None), record()):
        observer.after(one, None)
    assert observer.close(10)
    assert (observer.lost, len(path.read_text().splitlines())) == (1, 2)


def test_a_rotated_file_is_left_alone(tmp_path: Path) -> None:
    """After the file was renamed, later lines are in a new one."""
    path = tmp_path / "calls.jsonl"
    observer = JsonlObserver(path)
    observer.after(record(), None)
    assert observer.flush(10)
    path.rename(tmp_path / "calls.jsonl.1")
    observer.after(record(), None)
    assert observer.close(10)
    assert len(path.read_text().splitlines()) == 1


FULL = """
import resource, sys
from pathlib import Path
from records import record
from otel_aicost.observers.jsonl import JsonlObserver
observer = JsonlObserver(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))
for number in range(20):
    observer.after(record(id=str(number)), None)
    observer.flush(10)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
observer.after(record(id="last"), None)
observer.close(10)
print(observer.lost)
"""


def test_a_full_disk_costs_no_whole_line(tmp_path: Path) -> None:
    """A line cut short by a full disk swallows no other: written and lost lines add up, and the last can be read."""
    path = tmp_path / "calls.jsonl"
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path)],
        env={"PYTHONPATH": ":".join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=True,
    )
    readable = []
    for line in path.read_text().splitlines():
        try:
            readable.append(json.loads(line)["id"])
        except ValueError:
            continue
    assert readable[-1] == "last"
    assert len(readable) + int(done.stdout) == 21
    assert int(done.stdout) > 0


def _append(path: Path, side: int) -> None:
    observer = JsonlObserver(path)
    for number in range(300):
        observer.after(record(id=f"{side}-{number}", tags={"filler": "x" * 3000}), None)
    observer.close(30)


def test_processes_share_a_file(tmp_path: Path) -> None:
    """Four processes that append at once leave every line whole."""
    path = tmp_path / "calls.jsonl"
    context = multiprocessing.get_context("spawn")
    children = [context.Process(target=_append, args=(path, side)) for side in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    ids = [json.loads(line)["id"] for line in path.read_text().splitlines()]
    assert len(ids) == len(set(ids)) == 1200
