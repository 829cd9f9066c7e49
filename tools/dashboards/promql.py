"""How the dashboards ask: one exporter among replicas, money of a range exactly, rates for shapes only."""

from __future__ import annotations

REPLICA = "instance, job, pod"
"""What tells two exporters of one ledger apart. Their series are the same, so the greater one of them is taken."""
FILTER = 'service=~"$service",provider=~"$provider",model=~"$model",team=~"$team",feature=~"$feature"'
"""Every variable of the running totals. A tag that is not counted apart is an absent label, which `.*` matches."""


def matching(*matchers: str) -> str:
    """The matchers of the variables, and these."""
    return ",".join((FILTER, *matchers))


def single(selector: str) -> str:
    """The series of one exporter, however many serve this ledger."""
    return f"max without ({REPLICA}) ({selector})"


def total(metric: str, matchers: str = "", by: str = "", offset: str = "") -> str:
    """A sum over all time, or as it was `offset` ago."""
    return f"sum{_by(by)} ({single(f'{metric}{_braces(matchers)}{_offset(offset)}')})"


def grown(metric: str, matchers: str = "", by: str = "", during: str = "$__range") -> str:
    """What a running total grew by, as long as it is `known` what it was: exact to one scrape, new series too."""
    now = total(metric, matchers, by)
    then = total(metric, matchers, by, during)
    return f"({now} - ({then} or {now} * 0))"


def known(during: str = "$__range") -> str:
    """Has an answer where Prometheus knew the ledger at the beginning of the time, or the ledger was empty then.

    Without it all that came before would be counted as if it had just come.
    """
    seconds = "$__range_s" if during == "$__range" else _seconds(during)
    first = "max(aicost_ledger_first_call_timestamp_seconds)"
    return f"(max(aicost_ledger_up offset {during}) or {first} > time() - {seconds})"


def gained(metric: str, matchers: str = "", by: str = "", during: str = "$__range") -> str:
    """What a running total grew by, or no answer where that is not known."""
    return f"({grown(metric, matchers, by, during)} and on () {known(during)})"


def _seconds(during: str) -> str:
    return f"{int(during[:-1]) * {'h': 3600, 'd': 86400}[during[-1]]}"


def before(expression: str) -> str:
    """The same over the range before this one. PromQL multiplies no durations: the offset is that of a subquery."""
    return f"last_over_time(({expression})[5s:1s] offset $__range)"


def rate(metric: str, matchers: str = "", by: str = "") -> str:
    """How fast a running total grows each second: for shapes, an approximation."""
    return f"sum{_by(by)} ({single(f'rate({metric}{_braces(matchers)}[$__rate_interval])')})"


def quantile(share: float, metric: str, matchers: str = "", by: str = "") -> str:
    """A quantile of a histogram of seconds, as exact as its buckets; none, and no NaN, of no calls."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, {rate(f'{metric}_bucket', matchers, labels)}) >= 0"


def gauge(metric: str, matchers: str = "", by: str = "", offset: str = "") -> str:
    """A number that the exporter worked out at the scrape, or at one `offset` ago."""
    return f"max{_by(by)} ({metric}{_braces(matchers)}{_offset(offset)})"


def top(what: str, by: str, period: str, offset: str) -> str:
    """The top spenders of a calendar period by name; what has no name is told so."""
    each = gauge(f"aicost_top_{what}", f'by="{by}",period="{period}",offset="{offset}"', "name")
    return f'label_replace({each}, "name", "(no {by})", "name", "")'


def part(of: str, whole: str) -> str:
    """The share; 0 where the whole is there and nothing of that kind, no answer where there is no whole."""
    return f"({of} or {whole} * 0) / ({whole} > 0)"


def _by(labels: str) -> str:
    return f" by ({labels})" if labels else ""


def _braces(matchers: str) -> str:
    return f"{{{matchers}}}" if matchers else ""


def _offset(during: str) -> str:
    return f" offset {during}" if during else ""
