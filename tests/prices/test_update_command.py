"""`aicost prices update`, run as a user runs it, against a server on this machine."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

import pricelists
from otel_aicost.cli.app import app
from otel_aicost.errors import PriceDataError, PriceFileError
from otel_aicost.prices import update as updating
from otel_aicost.prices.catalogue import Catalogue
from otel_aicost.prices.editions import read_editions

FILE = """schema: 1
models:
  - provider: openai
    model: gpt-4o
    checked: 2026-11-01
    periods:
      - {from: 2026-01-01, rates: [{meter: input_tokens, price: "9.00", per: 1_000_000}]}
"""


class Site(ThreadingHTTPServer):
    """Serves one body, as a test wants it."""

    daemon_threads = True
    status = 200
    body = b""
    asked = 0
    promised: int | None = None
    """The length it announces, where that is not the body's."""
    waits = 0.0

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/data.json"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        site = self.server
        site.asked += 1
        time.sleep(site.waits)
        self.send_response(site.status)
        self.send_header("Content-Length", str(len(site.body) if site.promised is None else site.promised))
        self.end_headers()
        self.wfile.write(site.body)

    def log_message(self, *_):
        """Be quiet."""


@pytest.fixture
def site():
    with Site(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def place(tmp_path):
    """Where the settings of tests store prices."""
    return tmp_path / "state" / "aicost" / "prices"


@pytest.fixture
def run():
    def invoke(*arguments, code=0):
        result = CliRunner().invoke(app, ["prices", "update", *map(str, arguments)])
        assert result.exit_code == code, result.output
        return result.output

    return invoke


def failed(*arguments):
    """The error that the command ends with."""
    return (
        CliRunner().invoke(app, ["prices", "update", *map(str, arguments)], standalone_mode=False).exception.__cause__
    )


@pytest.fixture
def data():
    return pricelists.published()


@pytest.fixture
def newer(data):
    """The packaged data with a price changed, a model more, and one less."""
    pricelists.model(data, "openai", "gpt-4o")["prices"]["input_mtok"] = 7
    owner = next(each for each in data if each["id"] == "openai")
    owner["models"].append({"id": "brand-new", "match": {"equals": "brand-new"}, "prices": {"input_mtok": 3}})
    return pricelists.raw(data)


def test_update_fetches_checks_and_stores(run, site, place, newer):
    """It says what is new, and from then on the catalogue has it."""
    site.body = newer
    told = run("--from", site.url)
    assert "new: 1 (openai/brand-new)" in told
    assert "changed: 1 (openai/gpt-4o)" in told
    assert "gone: 0" in told
    assert f"in force from now on, in {place}" in told
    (edition,) = read_editions(place)
    assert edition.source == site.url
    assert Catalogue.load(updates=place).version.startswith(f"genai-prices {edition.digest} of ")


def test_without_from_it_asks_genai_prices(run, site, place, newer, monkeypatch):
    """The address is the one of the installed package."""
    site.body = newer
    monkeypatch.setattr("genai_prices.update_prices.DEFAULT_UPDATE_URL", site.url)
    run()
    assert site.asked == 1
    assert len(read_editions(place)) == 1


def test_update_again_marks_the_prices_as_checked(run, site, place, newer):
    """The same data are no new list."""
    site.body = newer
    run("--from", site.url)
    assert "these are the prices in force already; marked as checked today" in run("--from", site.url)
    assert len(read_editions(place)) == 1


def test_a_dry_run_stores_nothing(run, site, place, newer):
    """It fetches and checks all the same."""
    site.body = newer
    assert "dry run: nothing was stored" in run("--from", site.url, "--dry-run")
    assert site.asked == 1
    assert not place.exists()


def test_update_as_json(run, site, place, newer):
    """One document for programs."""
    site.body = newer
    told = json.loads(run("--from", site.url, "--json"))
    assert (told["kind"], told["stored"], told["news"]) == ("genai-prices", True, True)
    assert told["models"]["changed"] == [{"provider": "openai", "model": "gpt-4o"}]
    assert told["digest"] == read_editions(place)[0].digest


def test_a_file_can_be_given(run, tmp_path, newer):
    """For hosts without a network; --to names where it goes."""
    path, other = tmp_path / "data.json", tmp_path / "other"
    path.write_bytes(newer)
    told = run("--from", path, "--to", other)
    assert len(read_editions(other)) == 1
    assert "OTEL_AICOST_PRICE_DATA names it" in told


def test_the_directory_can_be_set(run, tmp_path, newer, monkeypatch):
    """By the variable that programs read it from."""
    path = tmp_path / "data.json"
    path.write_bytes(newer)
    monkeypatch.setenv("OTEL_AICOST_PRICE_DATA", str(tmp_path / "shared"))
    run("--from", path)
    assert len(read_editions(tmp_path / "shared")) == 1


def broken(data, breaking):
    breaking(data)
    return pricelists.raw(data)


def gpt(data):
    return pricelists.model(data, "openai", "gpt-4o")


@pytest.mark.parametrize(
    ("breaking", "said"),
    [
        (lambda data: gpt(data)["prices"].update(input_mtok=-1), "openai/gpt-4o: input_tokens cannot cost -1"),
        (lambda data: gpt(data)["prices"].update(input_mtok=1e12), "cannot cost"),
        (lambda data: gpt(data)["prices"].update(input_mtok="a lot"), "input_mtok"),
        (lambda data: gpt(data)["prices"].update(input_mtok=float("nan")), "NaN is no price"),
        (lambda data: gpt(data)["prices"].update(input_mtok={"base": 1, "tiers": [{"start": 9, "price": -2}]}), "-2"),
        (lambda data: gpt(data).update(match={"like": "gpt"}), "match"),
        (lambda data: gpt(data).update(match={"regex": "("}), "openai"),
        (lambda data: gpt(data).update(prices=[{"constraint": {"start_date": "soon"}, "prices": {}}]), "start_date"),
        (lambda data: gpt(data).update(prices=[]), "openai/gpt-4o"),
        (lambda data: gpt(data).update(price_variants=[{"when": {}, "prices": {}}]), "when"),
        (lambda data: data.__setitem__(slice(20, None), []), "it is a part of a list, or was cut short"),
        (lambda data: data.clear(), "has no model in it"),
    ],
)
def test_data_with_a_mistake_change_nothing(site, place, data, newer, breaking, said, run):
    """One wrong price of 2,300 is enough; what was stored before stays in force, to the byte."""
    site.body = newer
    run("--from", site.url)
    before = {path: path.read_bytes() for path in place.iterdir()}
    site.body = broken(data, breaking)
    found = failed("--from", site.url)
    assert isinstance(found, PriceDataError), repr(found)
    assert said in str(found)
    assert {path: path.read_bytes() for path in place.iterdir()} == before


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "is neither price data of genai-prices"),
        (b"<html>captive portal</html>", "is neither price data of genai-prices"),
        (b'{"error": "rate limited"}', "is neither price data of genai-prices"),
        (b"[" * 100_000, "not JSON"),
        (b"[1, 2]", "no price data"),
        (b'[{"id": "openai"', "not JSON"),
        (b"\xff\xfe[", "is neither"),
    ],
)
def test_what_is_no_price_list_changes_nothing(site, place, body, said):
    """A portal, an error page, half a document: said, and nothing is stored."""
    site.body = body
    found = failed("--from", site.url)
    assert isinstance(found, PriceDataError), repr(found)
    assert said in str(found)
    assert not place.exists()


@pytest.mark.parametrize("status", [301, 404, 500])
def test_an_http_error_is_said(site, place, status, newer):
    """With its number; a body that comes along is not looked at."""
    site.body, site.status = newer, status
    found = failed("--from", site.url)
    assert isinstance(found, PriceDataError)
    assert f"answers {status}" in str(found)
    assert not place.exists()


def test_a_download_that_is_cut_off_changes_nothing(site, place, newer):
    """Fewer bytes than were announced are an error, though they might be a list."""
    site.body, site.promised = newer, len(newer) + 10
    found = failed("--from", site.url)
    assert isinstance(found, PriceDataError)
    assert "cannot be fetched" in str(found)
    assert not place.exists()


def test_a_server_that_does_not_answer_is_given_up(site, place, newer):
    """After --timeout."""
    site.body, site.waits = newer, 3.0
    found = failed("--from", site.url, "--timeout", "0.2")
    assert isinstance(found, PriceDataError)
    assert "did not answer within 0.2 seconds" in str(found)
    assert not place.exists()


def test_no_network_is_said_with_what_to_do(place):
    """Nobody listens there: a file can be given instead."""
    found = failed("--from", "http://127.0.0.1:9/data.json")
    assert isinstance(found, PriceDataError)
    assert "is there a network?" in str(found)
    assert "--from FILE" in str(found)


def test_more_than_any_price_list_is_given_up(site, place, monkeypatch):
    """An endless answer does not fill the memory."""
    monkeypatch.setattr(updating, "MOST_BYTES", 100_000)
    site.body = b"[" + b" " * 1_000_000
    assert "that is no price list" in str(failed("--from", site.url))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("ftp://example.com/data.json", "begins with https://"),
        ("no-such-file.json", "no-such-file.json cannot be read: No such file"),
    ],
)
def test_other_sources_are_refused(source, said):
    """A file or a web address."""
    assert said in str(failed("--from", source))


def test_a_password_in_an_address_is_never_shown(site, run, place, newer):
    """Neither in what is said nor in what is stored."""
    site.body = newer
    told = run("--from", site.url.replace("http://", "http://me:secret@") + "?token=hush")
    stored = "".join(path.read_text() for path in place.iterdir())
    assert not any(word in told + stored for word in ("secret", "hush"))


def test_a_price_file_becomes_the_users(run, site, place):
    """From a URL of the user's: checked as a whole, and used where no other is named."""
    site.body = FILE.encode()
    assert "a price file with 1 models" in run("--from", site.url)
    shown = CliRunner().invoke(app, ["prices", "show", "gpt-4o", "--provider", "openai", "--at", "2026-06-01"])
    assert "$9.00 per 1,000,000" in shown.output
    assert "already" in run("--from", site.url)


def test_a_wrong_price_file_changes_nothing(run, site, place):
    """Every mistake is told, and the one before stays."""
    site.body = FILE.encode()
    run("--from", site.url)
    site.body = FILE.replace('"9.00"', "9.00").replace("checked:", "looked:").encode()
    found = failed("--from", site.url)
    assert isinstance(found, PriceFileError)
    assert len(found.mistakes) == 2
    assert (place / "prices.yaml").read_text() == FILE


def test_a_price_file_that_changes_the_past_is_said(run, site, place, monkeypatch):
    """The file before is kept beside it; an environment that names another is said, too."""
    site.body = FILE.encode()
    run("--from", site.url)
    site.body = FILE.replace("9.00", "8.00").encode()
    monkeypatch.setenv("OTEL_AICOST_PRICES", "other.yaml")
    told = run("--from", site.url)
    assert "changes what held in the past: openai/gpt-4o from 2026-01-01" in told
    assert "OTEL_AICOST_PRICES names" in told
    (kept,) = place.glob("prices-before-*.yaml")
    assert kept.read_text() == FILE


def test_remove_and_forget(run, tmp_path, place, newer):
    """Back from now on, or as if there had been nothing."""
    path = tmp_path / "data.json"
    path.write_bytes(newer)
    assert "nothing is in force" in run("--remove")
    run("--from", path)
    assert "from now on; calls of the past keep theirs" in run("--remove")
    assert [edition.digest is None for edition in read_editions(place)] == [False, True]
    assert "nothing is in force" in run("--remove")
    assert json.loads(run("--forget", "--json")) == {"directory": str(place), "changed": True}
    assert read_editions(place) == ()


@pytest.mark.parametrize(
    "arguments", [("--remove", "--forget"), ("--remove", "--dry-run"), ("--forget", "--from", "x")]
)
def test_update_refuses_what_does_not_go_together(run, arguments):
    """Wrong usage, exit code 2."""
    assert f"{arguments[0]} goes without" in run(*arguments, code=2)


def test_a_directory_that_cannot_be_written_is_said(tmp_path, newer):
    """With what to do."""
    path, blocked = tmp_path / "data.json", tmp_path / "file"
    path.write_bytes(newer)
    blocked.write_text("")
    found = failed("--from", path, "--to", blocked / "prices")
    assert isinstance(found, PriceDataError)
    assert "cannot be written" in str(found)


@contextmanager
def no_network(monkeypatch):
    """Whoever opens a socket fails."""

    def refuse(*_, **__):
        msg = "a connection was made"
        raise AssertionError(msg)

    with monkeypatch.context() as patched:
        patched.setattr("socket.socket.connect", refuse)
        yield


def test_nothing_is_ever_downloaded_without_the_command(monkeypatch, run, tmp_path, newer):
    """Neither by the catalogue, with and without fetched data, nor by the other commands."""
    path = tmp_path / "data.json"
    path.write_bytes(newer)
    with no_network(monkeypatch):
        run("--from", path)
        assert CliRunner().invoke(app, ["prices", "show", "gpt-4o"]).exit_code == 0
        assert CliRunner().invoke(app, ["prices", "check"]).exit_code == 0
        Catalogue.load(updates=Path(tmp_path))
