from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points, version
from importlib.resources import files

import otel_aicost


def _loaded_by(code: str) -> set[str]:
    """The top-level modules a fresh interpreter has after running `code`."""
    script = f"import sys\n{code}\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    return set(
        subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout.split()
    )


def test_every_exported_name_is_there_and_documented():
    """What __all__ promises exists, has a docstring, and nothing else looks public."""
    for name in otel_aicost.__all__:
        assert getattr(otel_aicost, name), name
        if name != "__version__":
            assert getattr(otel_aicost, name).__doc__, name
    assert set(dir(otel_aicost)) == set(otel_aicost.__all__)


def test_the_version_is_the_one_of_the_distribution():
    """__version__ and the metadata agree."""
    assert otel_aicost.__version__ == version("otel-aicost")


def test_the_package_is_typed():
    """Type checkers are told that the package has types."""
    assert files("otel_aicost").joinpath("py.typed").is_file()


def test_there_is_one_instrumentor_entry_point_and_no_extra_that_could_disable_it():
    """The entry point is called aicost; an `instruments` extra would switch it off where one SDK is missing."""
    from importlib.metadata import metadata

    ours = [point for point in entry_points(group="opentelemetry_instrumentor") if point.dist.name == "otel-aicost"]
    assert [point.name for point in ours] == ["aicost"]
    assert not {"instruments", "instruments-any"} & set(metadata("otel-aicost").get_all("Provides-Extra") or ())


def test_importing_the_package_loads_nothing_heavy():
    """`import otel_aicost` loads no SDK, no database, no price list and no command-line library."""
    loaded = _loaded_by("import otel_aicost")

    assert not loaded & {
        "anthropic", "click", "genai_prices", "httpx", "httpx2", "jsonschema", "openai", "opentelemetry", "pydantic",
        "rich", "sqlalchemy", "sqlite3", "yaml",
    }  # fmt: skip


def test_instrumenting_loads_no_sdk_and_nothing_of_the_command_line():
    """Instrumenting a process imports no provider SDK, and nothing only the `aicost` command needs."""
    loaded = _loaded_by("import otel_aicost; otel_aicost.instrument()")

    assert not loaded & {
        "anthropic", "click", "genai_prices", "httpx", "httpx2", "jsonschema", "openai", "pydantic", "rich", "sqlalchemy",
        "starlette", "uvicorn",
    }  # fmt: skip
