from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from ledgers import at, sample, write
from otel_aicost.exporter.exposition import render
from records import record

PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize(
    "accept", ["", "*/*", "text/plain;version=0.0.4", "application/openmetrics-text;version=1.0.0", PROMETHEUS_3]
)
def test_what_is_written_is_what_prometheus_client_writes(path, collector, accept):
    """For whatever is asked, content type and bytes are the library's; in text the times of birth are left out."""
    strange = {"feature": 'a "quoted"\nback\\slash é', "team": "{x=y,}"}
    traced = record(trace_id="0af7651916cd43dd8448eb211c80319c", tags=strange, started_ns=at("2026-11-21"))
    one = collector(write(path, *sample(), traced), now=at("2026-11-21T12:00:00"))
    families = list(one.collect())

    class Still:
        def collect(self):
            for family in families:
                if "openmetrics" not in accept:
                    family.samples = [each for each in family.samples if not each.name.endswith("_created")]
                yield family

    registry = CollectorRegistry()
    registry.register(Still())
    encode, content_type = choose_encoder(accept)

    assert render(registry, accept) == (content_type, encode(registry))
    assert b"0af7651916cd43dd8448eb211c80319c" in encode(registry)
