"""The Grafana dashboards as Python: what is written in `grafana/dashboards` and how it is checked.

Plain dicts, and no `grafana-foundation-sdk`: that one (0.0.21, tried) writes schema 42, gives panels no `id` and
queries no `refId`, places panels past the 24th column, and hides links in a menu. Each would have to be mended
afterwards, and what is left of it is a dict with types, at 11 MB.
"""
