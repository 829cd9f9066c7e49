"""The base in time: a newer list never changes what a call of the past has cost."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

import pricelists
from otel_aicost import faults
from otel_aicost.errors import PriceDataError
from otel_aicost.model import Cost, Unpriced
from otel_aicost.prices import update
from otel_aicost.prices.catalogue import Catalogue
from otel_aicost.prices.editions import MANIFEST, read_editions, replace_file

FIRST = datetime(2026, 11, 20, 10, tzinfo=UTC)
SECOND = datetime(2026, 12, 20, 10, tzinfo=UTC)
SECONDS = timedelta(seconds=1)
USAGE = {"input_tokens": 1_000_000}


def ns(moment):
    return int(moment.timestamp()) * 10**9


@pytest.fixture
def data():
    return pricelists.published()


@pytest.fixture
def stored(tmp_path):
    """Put data into force at a moment."""

    def store(data, moment):
        found = update.read(pricelists.raw(data), "data.json", ns(moment))
        update.install(tmp_path, found, ns(moment))
        return found.data.digest

    return store


def price(tmp_path, moment, model="gpt-4o", provider="openai", conditions=None):
    """What a million input tokens cost then, and the price lists that say so."""
    answer = Catalogue.load(updates=tmp_path).price(provider, (model,), USAGE, conditions or {}, ns(moment))
    return (answer.total, answer.catalogue) if isinstance(answer, Cost) else answer


def test_the_packaged_data_survives_the_way_over_the_wire(data, stored, tmp_path):
    """Every model costs the same from the published form: what follows is about changes, not about the form."""
    stored(data, FIRST)
    now, old = Catalogue.load(updates=tmp_path), Catalogue.load()
    assert update.compare(old, now, ns(SECOND)) == update.Summary((), (), ())


def test_a_changed_price_holds_from_when_it_was_fetched(data, stored, tmp_path):
    """A second before, the packaged price and its name; from then on the new ones."""
    pricelists.model(data, "openai", "gpt-4o")["prices"]["input_mtok"] = 7
    before, packaged = price(tmp_path, FIRST - SECONDS)
    digest = stored(data, FIRST)
    assert price(tmp_path, FIRST - SECONDS) == (before, packaged)
    assert packaged.startswith("genai-prices 0.")
    after, catalogue = price(tmp_path, FIRST)
    assert (before, after) == (Decimal("2.5"), Decimal(7))
    assert catalogue.startswith(f"genai-prices {digest} of 2026-11-20 + supplement ")


def test_each_list_keeps_its_time(data, stored, tmp_path):
    """After a second update, calls between the two have the prices, and the name, of the first."""
    gpt = pricelists.model(data, "openai", "gpt-4o")["prices"]
    gpt["input_mtok"] = 7
    stored(data, FIRST)
    between = price(tmp_path, SECOND - SECONDS)
    gpt["input_mtok"] = 9
    stored(data, SECOND)
    assert price(tmp_path, SECOND - SECONDS) == between
    assert [price(tmp_path, at)[0] for at in (FIRST - SECONDS, FIRST, SECOND)] == [Decimal("2.5"), 7, 9]


def test_one_catalogue_prices_calls_of_all_times(data, stored, tmp_path):
    """Compiled rates of one time are not used for another, in whichever order the calls come."""
    pricelists.model(data, "openai", "gpt-4o")["prices"]["input_mtok"] = 7
    stored(data, FIRST)
    catalogue = Catalogue.load(updates=tmp_path)
    for moment, total in (
        (FIRST, 7),
        (FIRST - SECONDS, Decimal("2.5")),
        (SECOND, 7),
        (FIRST - SECONDS, Decimal("2.5")),
    ):
        assert catalogue.price("openai", ("gpt-4o",), USAGE, {}, ns(moment)).total == total


def test_a_new_model_has_its_price_in_the_past_too(data, stored, tmp_path):
    """It had none before, so none is rewritten: calls that were unpriced can be priced again."""
    assert isinstance(price(tmp_path, FIRST - SECONDS, "brand-new"), Unpriced)
    owner = next(each for each in data if each["id"] == "openai")
    owner["models"].append({"id": "brand-new", "match": {"equals": "brand-new"}, "prices": {"input_mtok": 3}})
    stored(data, FIRST)
    assert price(tmp_path, FIRST - SECONDS, "brand-new")[0] == 3


def dated(data, start, new):
    """A change of price that the data date themselves."""
    gpt = pricelists.model(data, "openai", "gpt-4o")
    old = gpt["prices"] if isinstance(gpt["prices"], dict) else gpt["prices"][0]["prices"]
    change = {"constraint": {"start_date": start}, "prices": {**old, "input_mtok": new}}
    gpt["prices"] = [{"prices": old}, change]


@pytest.mark.parametrize(
    ("start", "moment", "total"),
    [
        ("2026-12-01", datetime(2026, 11, 30, 23, tzinfo=UTC), Decimal("2.5")),
        ("2026-12-01", datetime(2026, 12, 1, tzinfo=UTC), 7),
        ("2026-11-20", datetime(2026, 11, 20, 11, tzinfo=UTC), Decimal("2.5")),
        ("2026-03-01", datetime(2026, 12, 1, tzinfo=UTC), Decimal("2.5")),
        ("2026-03-01", datetime(2026, 4, 1, tzinfo=UTC), Decimal("2.5")),
        ("2026-03-01", SECOND, 7),
    ],
)
def test_a_start_date_holds_where_the_older_list_could_not_know_of_it(data, stored, tmp_path, start, moment, total):
    """A change after the day the older list was made holds from its date; of older days the older list keeps its word."""
    stored(data, FIRST)
    dated(data, start, 7)
    stored(data, SECOND)
    assert price(tmp_path, moment)[0] == total


def test_a_start_date_that_both_lists_state_is_not_corrected_afterwards(data, stored, tmp_path):
    """The older list announced the change, and calls were priced by it: another number comes too late for them."""
    dated(data, "2026-12-01", 7)
    stored(data, FIRST)
    dated(data, "2026-12-01", 8)
    stored(data, SECOND)
    assert price(tmp_path, datetime(2026, 12, 2, tzinfo=UTC))[0] == 7
    assert price(tmp_path, SECOND)[0] == 8


def test_a_model_that_is_gone_keeps_its_packaged_price(data, stored, tmp_path):
    """A list without a retired model does not make its calls unpriced; the catalogue names the list that was asked."""
    packaged = price(tmp_path, SECOND, "gpt-4o-mini")
    owner = next(each for each in data if each["id"] == "openai")
    owner["models"] = [each for each in owner["models"] if not each["id"].startswith("gpt-4o-mini")]
    stored(data, FIRST)
    assert price(tmp_path, SECOND, "gpt-4o-mini") == packaged


def test_the_same_data_again_are_no_new_list_but_are_fresh(data, stored, tmp_path):
    """One edition, checked later: neither stale nor another price."""
    digest = stored(data, FIRST)
    assert stored(data, SECOND) == digest
    (edition,) = read_editions(tmp_path)
    assert (edition.since_ns, edition.checked_ns) == (ns(FIRST), ns(SECOND))
    catalogue = Catalogue.load(updates=tmp_path)
    assert catalogue.version.startswith(f"genai-prices {digest} of 2026-11-20, checked 2026-12-20 + ")
    assert catalogue.made()["genai-prices"] == SECOND.date()


def test_descriptions_and_extractors_make_no_new_list(data, stored, tmp_path):
    """What has no part in prices is not stored."""
    digest = stored(data, FIRST)
    pricelists.model(data, "openai", "gpt-4o")["description"] = "a model"
    data[0]["extractors"] = [{"of": "a form that is not known yet"}]
    assert stored(data, SECOND) == digest


def test_going_back_holds_from_then_on(data, stored, tmp_path):
    """`--remove` is one more list, the packaged one: what was priced by the data stays so."""
    pricelists.model(data, "openai", "gpt-4o")["prices"]["input_mtok"] = 7
    stored(data, FIRST)
    between = price(tmp_path, SECOND - SECONDS)
    assert update.remove(tmp_path, ns(SECOND))
    assert price(tmp_path, SECOND - SECONDS) == between
    total, catalogue = price(tmp_path, SECOND)
    assert total == Decimal("2.5")
    assert catalogue == Catalogue.load().version
    assert not update.remove(tmp_path, ns(SECOND))


def test_forgetting_is_for_the_past_too(data, stored, tmp_path):
    """Nothing is left, and every call has the packaged price."""
    pricelists.model(data, "openai", "gpt-4o")["prices"]["input_mtok"] = 7
    stored(data, FIRST)
    assert update.forget(tmp_path) == 2
    assert list(tmp_path.iterdir()) == []
    assert price(tmp_path, SECOND)[0] == Decimal("2.5")


@pytest.mark.parametrize("content", [b"", b"[]", None])
def test_data_that_were_damaged_are_said_and_not_used(data, stored, tmp_path, caplog, content):
    """The packaged list takes their place, and each cost says so by its name."""
    stored(data, FIRST)
    (path,) = tmp_path.glob("genai-prices-*.json")
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    faults.reset()
    assert price(tmp_path, SECOND) == (Decimal("2.5"), Catalogue.load().version)
    assert "the packaged ones are used instead" in caplog.text


@pytest.mark.parametrize("content", ["", "{}", '{"schema": 2, "editions": []}', '{"schema": 1, "editions": [{}]}'])
def test_a_damaged_manifest_is_said_and_not_used(tmp_path, caplog, content):
    """It says what to do; calls have their packaged price."""
    (tmp_path / MANIFEST).write_text(content)
    with pytest.raises(PriceDataError):
        read_editions(tmp_path)
    assert price(tmp_path, SECOND)[0] == Decimal("2.5")
    assert "the packaged prices are used" in caplog.text


def test_the_lists_of_the_past_are_loaded_when_they_are_needed(data, stored, tmp_path):
    """Calls of now need the newest one only, however many there were."""
    for day in range(3):
        pricelists.model(data, "openai", "gpt-4o")["prices"]["input_mtok"] = 7 + day
        stored(data, FIRST + timedelta(days=day))
    catalogue = Catalogue.load(updates=tmp_path)
    for path in tmp_path.glob("genai-prices-*.json"):
        path.unlink()
    assert catalogue.price("openai", ("gpt-4o",), USAGE, {}, ns(SECOND)).total == 9


def test_a_catalogue_knows_when_it_is_outdated(data, stored, tmp_path):
    """As soon as anything was stored, data or a price file; one that was loaded without a directory never is."""
    catalogue, alone = Catalogue.load(updates=tmp_path), Catalogue.load()
    assert not catalogue.is_outdated()
    stored(data, FIRST)
    assert catalogue.is_outdated()
    assert not alone.is_outdated()
    catalogue = Catalogue.load(updates=tmp_path)
    (tmp_path / "prices.yaml").write_text("schema: 1")
    assert catalogue.is_outdated()


def test_a_file_that_was_fetched_is_the_users_where_none_is_named(tmp_path):
    """Named in the environment, that one; else the one that was fetched."""
    fetched, named = tmp_path / "prices.yaml", tmp_path / "named.yaml"
    text = "schema: 1\nadjustments: [{{provider: openai, from: 2026-01-01, multiply: '{}'}}]"
    fetched.write_text(text.format(2))
    named.write_text(text.format(3))
    assert price(tmp_path, FIRST)[0] == 5
    own = Catalogue.load(named, tmp_path)
    assert own.price("openai", ("gpt-4o",), USAGE, {}, ns(FIRST)).total == Decimal("7.5")


def test_a_file_is_replaced_in_one_step(tmp_path):
    """Its rights stay, and no draft is left behind."""
    path = tmp_path / "deep" / "file"
    replace_file(path, b"one")
    path.chmod(0o600)
    replace_file(path, b"two")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"two", 0o600)
    assert [each.name for each in path.parent.iterdir()] == ["file"]


def test_the_manifest_can_be_read_by_a_person(data, stored, tmp_path):
    """Where each list is from, how many models it has, and since when it holds."""
    stored(data, FIRST)
    (edition,) = json.loads((tmp_path / MANIFEST).read_text())["editions"]
    models = sum(len(provider["models"]) for provider in data)
    assert (edition["source"], edition["models"], edition["since_ns"]) == ("data.json", models, ns(FIRST))
