from __future__ import annotations

import re

import pytest
from tools.providers import tested
from tools.providers.__main__ import PAGE
from tools.providers.meters import meters_of
from tools.providers.page import text

from otel_aicost.capture.sdks import NAMES
from otel_aicost.providers import ENDPOINTS, every


def test_the_page_is_what_the_code_makes():
    """To the byte what `python -m tools.providers` writes, and its first line says so."""
    written = PAGE.read_text(encoding="utf-8")
    assert written == text()
    assert "Generated" in written.partition("\n")[0]


def test_every_link_leads_somewhere():
    """To a file, or to a heading of the page."""
    written = text()
    headings = {
        re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in re.findall(r"^#.*", written, re.MULTILINE)
    }
    for link in re.findall(r"\]\(([^)]+)\)", written):
        assert link[1:] in headings if link.startswith("#") else (PAGE.parent / link).exists(), link


@pytest.mark.parametrize("name", NAMES)
def test_every_sdk_is_tested(name):
    """A test file imports it, and a group of dependencies pins its version."""
    assert tested.tests_of_sdk(name)
    assert tested.package(name) in tested.versions()


def test_the_page_has_everything():
    """Every name and host, and something at each place where the code has its say."""
    written = text()
    assert "<!-- " not in written.partition("\n")[2]
    for provider in every():
        assert f"`{provider.name}`" in written
        assert all(f"`{host}`" in written for host in provider.hosts)


def test_meters_are_found_where_they_are_told():
    """In what the request says, in what the response says, and in the tables and functions that these go by."""
    assert meters_of(ENDPOINTS["/audio/speech"]) == ("input_characters",)
    assert {"input_tokens", "reasoning_tokens", "web_searches"} <= {*meters_of(ENDPOINTS["/responses"])}
    assert "output_images" in meters_of(ENDPOINTS["/images/generations"])
    assert "output_images" not in meters_of(ENDPOINTS["/chat/completions"])
    assert "cache_write_1h_tokens" in meters_of(ENDPOINTS["/v1/messages"])
