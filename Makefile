# `make` lists the targets. `make run` and `make test` do all set-up themselves, in .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
COMPILE := CUSTOM_COMPILE_COMMAND="make requirements" $(BIN)/pip-compile --quiet \
  --generate-hashes --strip-extras --allow-unsafe --annotation-style=line \
  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host

# One file a set of pins: a new pin is a new name, so the set-up runs again. So it does for a change
# in the packet path, which is compiled by the install.
NATIVE = hatch_build.py $(wildcard services/media/native/*.[ch])
PINS = $(shell cat $(1) pyproject.toml $(NATIVE) | sha256sum | cut -c1-16)
RUN_READY := $(VENV)/.run-$(call PINS,requirements.txt)
TEST_READY := $(VENV)/.test-$(call PINS,requirements-dev.txt)
NODE_FOLDERS := tests/e2e tests/compat/node
NODE_READY := $(NODE_FOLDERS:%=%/node_modules/.package-lock.json)

.DEFAULT_GOAL := help
.PHONY: help run test lint types pytest e2e fuzz-api fuzz-media fuzz-pump fuzz-signaling soak \
  format bench bench-api bench-log bench-media bench-projection bench-recorder bench-webhooks report-media \
  requirements env-example clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' Makefile

run: $(RUN_READY) ## Start the server; settings come from .env (see .env.example)
	@exec $(BIN)/tertulia serve

test: lint types pytest e2e ## All checks and all tests

lint: $(TEST_READY) ## Style, format and the arrows between the packages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(TEST_READY) ## Type checks
	$(BIN)/mypy

# Most of these wait most of the time, so there are more processes than cores.
pytest: $(TEST_READY) ## Unit, contract and integration tests
	$(BIN)/pytest --numprocesses=6 --dist=loadfile tests --ignore=tests/e2e --ignore=tests/compat

# What is missing for tests with a browser and with clients for Node.
MISSING = for tool in "$${CHROMIUM:-chromium chromium-browser}" node npm; do \
    found=""; for name in $$tool; do command -v $$name >/dev/null && found=1; done; \
    [ -n "$$found" ] || missing="$$missing $${tool%% *}"; \
  done

e2e: $(TEST_READY) ## Tests with a browser and real clients; need Chromium (or CHROMIUM=…), node, npm
	@missing=""; $(MISSING); \
	if [ -z "$$missing" ]; then $(MAKE) --no-print-directory e2e-run; \
	elif [ "$$CI" = true ]; then echo "The tests with a browser need:$$missing" >&2; exit 1; \
	else printf '\n*** THE TESTS WITH A BROWSER DID NOT RUN. They need:%s\n\n' "$$missing"; fi

.PHONY: e2e-run e2e-versions
e2e-run: $(TEST_READY) $(NODE_READY)
	$(BIN)/pytest tests/e2e tests/compat

e2e-versions: $(TEST_READY) $(NODE_READY) ## The main scenarios with clients of all versions, in both modes
	E2E_VERSIONS=all $(BIN)/pytest tests/e2e/scenarios/test_client_versions.py

report-media: $(TEST_READY) $(NODE_READY) ## What bad networks do to a call; SEED (1), SECONDS (60)
	$(BIN)/python -m tests.media.report --seed $(or $(SEED),1) --seconds $(or $(SECONDS),60)

fuzz-api: $(TEST_READY) ## Schemathesis against the REST API for MINUTES (30)
	$(BIN)/python -m tests.fuzz_api --minutes $(or $(MINUTES),30)

fuzz-media: $(TEST_READY) ## Hostile descriptions and datagrams against the media node for MINUTES (30)
	$(BIN)/python -m tests.fuzz_media --minutes $(or $(MINUTES),30)

fuzz-pump: $(TEST_READY) ## The packet path in C under sanitizers, beside its twin, for MINUTES (30)
	$(BIN)/python -m tests.fuzz_pump --minutes $(or $(MINUTES),30)

fuzz-signaling: $(TEST_READY) ## Hostile frames and sockets against the signaling gateway for MINUTES (30)
	$(BIN)/python -m tests.fuzz_signaling --minutes $(or $(MINUTES),30)

soak: $(TEST_READY) ## Rooms come and go for MINUTES (60); memory, files and threads must stay flat
	$(BIN)/python -m tests.soak --minutes $(or $(MINUTES),60)

format: $(TEST_READY) ## Put the code into the house format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: bench-api bench-log bench-media bench-projection bench-recorder bench-webhooks ## All benchmarks

bench-api: $(TEST_READY) ## What a REST request costs, beside bare handlers, inserts, appends, Janus
	$(BIN)/python -m benchmarks.bench_api

bench-log: $(TEST_READY) ## What the event log costs
	$(BIN)/python -m benchmarks.bench_log

bench-media: $(TEST_READY) ## What forwarded media costs, beside Janus; 15 minutes
	$(BIN)/python -m benchmarks.bench_media

bench-projection: $(TEST_READY) ## What building the projection anew costs
	$(BIN)/python -m benchmarks.bench_projection

bench-recorder: $(TEST_READY) ## What a recorded stream costs
	$(BIN)/python -m benchmarks.bench_recorder

bench-webhooks: $(TEST_READY) ## What a delivered webhook costs, beside bare aiohttp
	$(BIN)/python -m benchmarks.bench_webhooks

requirements: $(TEST_READY) ## Pin the newest versions that pyproject.toml allows
	$(COMPILE) --upgrade --output-file=requirements.txt pyproject.toml
	$(COMPILE) --upgrade --extra=dev --constraint=requirements.txt \
	  --output-file=requirements-dev.txt pyproject.toml

env-example: $(RUN_READY) ## Make .env.example from the tables of settings
	$(BIN)/python -m services.settings > .env.example

clean: ## Remove all that was made, but no data
	rm -rf $(VENV) dist $(NODE_FOLDERS:%=%/node_modules) .mypy_cache .pytest_cache .ruff_cache \
	  .import_linter_cache .hypothesis .schemathesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 …" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }

$(RUN_READY): | $(BIN)/python
	$(PIP) install --quiet --require-hashes -r requirements.txt
	$(PIP) install --quiet --no-deps -e .
	@rm -f $(VENV)/.run-*
	@touch $@

$(TEST_READY): | $(BIN)/python
	$(PIP) install --quiet --require-hashes -r requirements-dev.txt
	$(PIP) install --quiet --no-deps -e .
	@rm -f $(VENV)/.test-*
	@touch $@

$(NODE_READY): %/node_modules/.package-lock.json: %/package-lock.json
	cd $* && npm ci --no-audit --no-fund --loglevel=error
	@touch $@
