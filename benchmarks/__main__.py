"""`python -m benchmarks`: measure all, print the tables, and with `--write` put them into docs/performance.md."""

from __future__ import annotations

import argparse
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import budgets, durability, memory, pricing, report, rounds, scrape, startup, supported
from benchmarks.calls import WORKLOADS
from benchmarks.setups import SETUPS

EXAMPLES = """
examples:
  python -m benchmarks --quick                       four minutes, to see that all of it runs
  python -m benchmarks --only calls --rounds 60      the cost of a call, more exactly
  python -m benchmarks --write                       about 25 minutes, into docs/performance.md
"""


def calls(options: argparse.Namespace) -> str:
    pairs = rounds.measure(list(SETUPS), list(WORKLOADS), options.rounds, _progress)
    return (
        "## A call\n\nAdded CPU microseconds, all threads: the tenth percentile of "
        f"{2 * options.rounds} batches less that of as many bare ones beside them, ± half the interquartile range of "
        "that figure over draws from the same batches.\n\n"
        f"{report.calls(pairs)}\n\n{report.LEGEND}\n\n{report.chunks(pairs)}"
    )


def start(options: argparse.Namespace) -> str:
    repeats = 3 if options.quick else 15
    rows = [["import, where opentelemetry is imported", "CPU ms", "of the heavy packages it loads"]]
    for module, (took, brought) in startup.import_times(repeats).items():
        rows.append([f"`{module}`", f"{took:.0f}", ", ".join(brought) or "none"])
    imports = report.table(rows)
    rows = [["under `opentelemetry-instrument`, a program that", "", "wall s", "CPU s", "peak MiB"]]
    for title, program in startup.PROGRAMS.items():
        _progress(f"a program that {title}")
        both = [startup.middle(found) for found in startup.starts(program, repeats)]
        for name, one in zip(("without us", "with us"), both, strict=True):
            rows.append([title, name, f"{one.wall:.2f}", f"{one.cpu:.2f}", f"{one.peak:.1f}"])
        more = [getattr(both[1], field) - getattr(both[0], field) for field in ("wall", "cpu", "peak")]
        rows.append([title, "**added**", f"{more[0]:+.2f}", f"{more[1]:+.2f}", f"{more[2]:+.1f}"])
    return f"## The start\n\nMedian of {repeats} processes each, in turn.\n\n{imports}\n\n{report.table(rows)}"


def price(options: argparse.Namespace) -> str:
    catalogue, load = pricing.load()
    rows = [["pricing", "CPU µs"]]
    rows += [[name, f"{took:.1f}"] for name, took in pricing.price(catalogue, 5 if options.quick else 30).items()]
    bare, first = startup.first_call(3 if options.quick else 9)
    return (
        f"## A price\n\n{report.table(rows)}\n\n"
        f"Loading the catalogue takes {load:.2f} s of CPU, once, in the background. The first call, made while it "
        f"loads: {first:.1f} ms by the clock, against {bare:.1f} ms of a bare call."
    )


def durable(options: argparse.Namespace) -> str:
    count = 100 if options.quick else 1000
    middle, worst = durability.measure(count)
    return (
        "## The ledger\n\nFrom the return of a call to its row, as another process sees it, over "
        f"{count} calls 20 ms apart: {middle:.1f} ms (median), {worst:.1f} ms (99th percentile)."
    )


def remember(options: argparse.Namespace) -> str:
    count = 5_000 if options.quick else 100_000
    rows = [[f"{count:,} calls", "MiB before", "MiB after", "growth, MiB", "objects more"]]
    for title, setup in (("the bare SDK", "bare"), ("otel-aicost, all", "full")):
        _progress(f"memory of {title}")
        one = memory.measure(setup, count)
        more = one.objects_after - one.objects_before
        rows.append([title, f"{one.before:.1f}", f"{one.after:.1f}", f"{one.after - one.before:+.1f}", f"{more:+,}"])
    return (
        "## Memory\n\nA tenth of the calls are streams let go after the first chunk, a tenth end in an error; counted "
        f"after a warm-up of {memory.WARM_UP:,} calls.\n\n{report.table(rows)}"
    )


def budget(options: argparse.Namespace) -> str:
    rows = [["waits of a call, by the clock", "µs (median)", "µs (99th percentile)"]]
    for name, (middle, worst) in budgets.measure(200 if options.quick else 2000).items():
        rows.append([name, f"{middle:,.0f}", f"{worst:,.0f}"])
    return (
        "## A budget\n\nHow long a call with one blocking budget waits for its admission, and beside it the bare call. "
        f"The {budgets.PROCESSES} processes hold one balance; beside them, in the same processes and between the same "
        "calls, a loop of plain Python that waits for nothing: what it takes longer at its worst is the machine's.\n\n"
        f"{report.table(rows)}"
    )


def scraped(options: argparse.Namespace) -> str:
    calls, count = (2_000, 5) if options.quick else (100_000, 20)
    found = scrape.measure(calls, count)
    rows = [[f"a scrape of {scrape.SERIES:,} series", "CPU ms", "ms (median)", "ms (worst)", "samples", "KiB"]]
    for name in scrape.FORMATS:
        work, middle, worst, samples, size = found[name]
        rows.append([name, f"{work:.0f}", f"{middle:.0f}", f"{worst:.0f}", f"{samples:,}", f"{size / 1024:,.0f}"])
    writes = [
        ["a call is written", "µs of `put` (median)", "(99th)", "ms until it is in the ledger (median)", "(99th)"]
    ]
    for name, each in scrape.beside(calls, 40 * count).items():
        writes.append([name, *(f"{value:.1f}" for value in each)])
    return (
        f"## A scrape\n\nOf a ledger of {calls:,} calls. The samples are those of the running totals, with the time "
        f"since when each counts in OpenMetrics, and all gauges. The first scrape of a process takes "
        f"{found['first']:.0f} ms; all together take {found['memory']:.0f} MiB of memory at the most.\n\n"
        f"{report.table(rows)}\n\n{report.table(writes)}"
    )


def support(options: argparse.Namespace) -> str:
    with tempfile.TemporaryDirectory(prefix="aicost-benchmarks-") as name:
        found = supported.packages(Path(name))
        begun = supported.begin(found, 4 if options.quick else 15)
        _progress("calls of both")
        pairs = supported.call(found, options.rounds)
    whole, alone = begun["whole"], begun["alone"]
    figures = {
        "CPU ms to import it and `instrument()`": [[one.instrumented for one in each] for each in (whole, alone)],
        "CPU ms more of ours at `import openai`": [[one.sdk for one in each] for each in (whole, alone)],
        "CPU ms of both and of `import openai` itself": [[one.program for one in each] for each in (whole, alone)],
        "CPU µs of a chat, all of it": [[on for _, on in pairs[name]] for name in ("whole", "alone")],
    }
    rows = [
        [
            "", f"{whole[0].sdks} SDKs, {whole[0].providers} providers",
            f"{alone[0].sdks} SDK, {alone[0].providers} provider", "ratio",
        ]
    ]  # fmt: skip
    for title, each in figures.items():
        one = supported.both(*each)
        rows.append([title, f"{one.whole:,.1f}", f"{one.alone:,.1f}", f"**{one.ratio:.3f}** ± {one.spread:.3f}"])
    return (
        "## What is supported and not used\n\nThe package as it is, beside a copy with OpenAI alone in its tables, in "
        f"turn: {len(whole)} fresh processes of each, and {len(pairs['whole'])} batches of calls. The ratio is the "
        "median of those measured beside each other, ± half their interquartile range.\n\n" + report.table(rows)
    )


PARTS = {
    "calls": calls,
    "price": price,
    "start": start,
    "supported": support,
    "ledger": durable,
    "budgets": budget,
    "scrape": scraped,
    "memory": remember,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        "python -m benchmarks",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="few rounds: shows that it runs, not what it costs")
    parser.add_argument("--only", choices=PARTS, action="append", help="one part; may be repeated")
    parser.add_argument("--rounds", type=int, help="rounds of each kind of call (20; 3 with --quick)")
    parser.add_argument("--write", action="store_true", help="put the figures into docs/performance.md")
    options = parser.parse_args()
    options.rounds = options.rounds or (3 if options.quick else 20)
    found = []
    for name in options.only or PARTS:
        found.append(PARTS[name](options))
        print(f"\n{found[-1]}\n", flush=True)
    command = "python -m benchmarks " + " ".join(sys.argv[1:])
    told = f"`{command.strip()}`, {datetime.now(UTC):%Y-%m-%d}. {report.machine()}"
    print(told)
    if options.write:
        report.write("\n\n".join([told, *found]))


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
