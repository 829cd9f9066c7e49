# Two commands do everything: `make demo` shows the thing at work, `make test` checks it.

PYTHON ?= python3
VENV := .venv
PROMETHEUS ?=
RENDER := tools/render
BOARDS := overview budgets chargeback models engineering health
RENDER_OPTIONS ?=
OLDEST := .venv-oldest
OLDEST_OTHERS := .venv-oldest-others
OLDER := .venv-older
PIP := -m pip --disable-pip-version-check --quiet

.PHONY: demo stack up down test lint check bench accuracy dashboards providers pictures postgresql prometheus clean
.DEFAULT_GOAL := help

help: ## Show this list.
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: $(VENV)/.ready ## Run a program against a fake provider and show what it cost.
	@$(VENV)/bin/python examples/demo.py

stack: prometheus $(VENV)/.ready ## Run traffic, aicost serve, Prometheus and Alertmanager here, until Ctrl-C.
	@$(VENV)/bin/python examples/stack.py

up: ## The same with Grafana, Tempo and PostgreSQL, in Docker: http://127.0.0.1:3000
	docker compose up --build --detach --wait
	@echo "Grafana: http://127.0.0.1:3000   Prometheus: http://127.0.0.1:9090   Alertmanager: http://127.0.0.1:9093   mails: http://127.0.0.1:8025"

down: ## End it, and delete its data.
	docker compose down --volumes

test: lint postgresql prometheus $(VENV)/.ready $(OLDEST)/.ready $(OLDEST_OTHERS)/.ready $(OLDER)/.ready ## Lint, type-check, and run all tests on the newest and the oldest SDKs.
	$(VENV)/bin/python -m pytest
	$(OLDEST)/bin/python -m pytest tests/capture tests/providers tests/testing --ignore tests/testing/test_demo.py
	$(OLDEST_OTHERS)/bin/python -m pytest tests/sdks
	# LiteLLM warns of itself, and leaves connections open.
	$(OLDER)/bin/python -m pytest -W default --disable-warnings tests/older_sdks --ignore tests/older_sdks/test_coexistence.py
	# Other instrumentations leave something behind when they are taken off: in a process of their own.
	$(OLDER)/bin/python -m pytest -W default --disable-warnings tests/older_sdks/test_coexistence.py

lint: $(VENV)/.ready ## Style, types, layers and dashboards.
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(VENV)/bin/python -m tools.dashboards.lint

dashboards: ## Write grafana/dashboards anew from tools/dashboards.
	@$(PYTHON) -m tools.dashboards

providers: $(VENV)/.ready ## Write docs/providers.md anew from the registry, the price lists and the tests.
	@$(VENV)/bin/python -m tools.providers

bench: $(VENV)/.ready ## Measure what a call costs us, side by side with the bare SDK.
	$(VENV)/bin/python -m benchmarks

accuracy: prometheus $(VENV)/.ready ## Hold what Prometheus says against the ledger, five minutes long.
	$(VENV)/bin/python -m tools.accuracy

postgresql: ## Fetch a PostgreSQL server for the tests, unless there is one.
	@scripts/get-postgresql

pictures: prometheus $(VENV)/.ready $(RENDER)/node_modules/.ready ## Draw the dashboards into docs/images: a made-up company, or PROMETHEUS=URL (needs Node and Chromium).
	@if [ -z "$(PROMETHEUS)" ]; then $(VENV)/bin/python -m tools.pictures; exit; fi; \
	for board in $(BOARDS); do \
		node $(RENDER)/render.mjs --prometheus $(PROMETHEUS) --dashboard grafana/dashboards/$$board.json \
			--out docs/images/$$board.png $(RENDER_OPTIONS) || exit 1; \
	done

prometheus: ## Fetch Prometheus and Alertmanager for the tests and `make stack`, unless they are there.
	@scripts/get-prometheus

clean: ## Remove the environments and caches.
	rm -rf $(VENV) $(OLDEST) $(OLDEST_OTHERS) $(OLDER) .mypy_cache .ruff_cache .pytest_cache .hypothesis $(RENDER)/node_modules

$(VENV)/.ready: pyproject.toml
	@echo "Setting up $(VENV): the newest SDKs and the development tools (one or two minutes) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/python $(PIP) install "pip>=25.1"
	@$(VENV)/bin/python $(PIP) install --editable . --group dev
	@touch $@

$(OLDEST)/.ready: pyproject.toml
	@echo "Setting up $(OLDEST): the oldest supported SDKs ..."
	@$(PYTHON) -m venv $(OLDEST)
	@$(OLDEST)/bin/python $(PIP) install "pip>=25.1"
	@$(OLDEST)/bin/python $(PIP) install --editable . --group dev-oldest
	@touch $@

$(OLDEST_OTHERS)/.ready: pyproject.toml
	@echo "Setting up $(OLDEST_OTHERS): the oldest supported SDKs of other providers ..."
	@$(PYTHON) -m venv $(OLDEST_OTHERS)
	@$(OLDEST_OTHERS)/bin/python $(PIP) install "pip>=25.1"
	@$(OLDEST_OTHERS)/bin/python $(PIP) install --editable . --group dev-oldest-others
	@touch $@

$(OLDER)/.ready: pyproject.toml
	@echo "Setting up $(OLDER): LiteLLM, LangChain and other instrumentations, with the SDKs they need ..."
	@$(PYTHON) -m venv $(OLDER)
	@$(OLDER)/bin/python $(PIP) install "pip>=25.1"
	@$(OLDER)/bin/python $(PIP) install --editable . --group dev-older
	@touch $@

$(RENDER)/node_modules/.ready: $(RENDER)/package-lock.json
	@echo "Fetching Grafana's UI library (about a minute) ..."
	@cd $(RENDER) && npm ci --silent
	@touch $@
