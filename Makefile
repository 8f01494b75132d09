# Every target sets up what it needs. `make help` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

HOSTS ?= 1
PORT ?= 7070
TIME_FACTOR ?= 1
# `PRIVATE=1`: the local cloud's app is in a private network, where findings arrive by a queue.
PRIVATE ?=
SUBSCRIPTION ?=
LOCATION ?= westeurope
SEEDS ?= 20000
FIRST ?= 0
BENCH ?= --write
# `BICEP=required`: `make lint` fails where Azure's compiler is missing, instead of leaving infra/ unchecked.
BICEP ?= optional
CLOUD := .venv/bin/python -m local.cloud
# Processes of `make test`, which tests/support/spreading.py spreads its tests over. More than cores: many tests wait.
WORKERS ?= 4
# Of the tests: `-p randomly` shuffles them.
ORDER ?=
# The processes of a run, and the next run, read what the first one compiled.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup tools browser demo cloud stop report unit unit-pure unit-other test tools-test simulate bench \
    conformance screenshots openapi lint format help

setup: tools browser ## install missing parts: .venv, node_modules, and Chromium for the tests of the console

tools: .venv/installed node_modules/installed

# Debian's package, if this user may install it.
browser:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || { \
	    if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	        echo 'Installing Chromium …'; \
	        apt-get install -y -qq chromium >/dev/null 2>&1 \
	            || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; }; \
	    fi; } \
	    || echo 'Chromium is missing, and the tests of the console fail without it (on Debian: apt install chromium).' >&2

demo: tools ## replay the 38 TB leak end to end, on its own ports
	@.venv/bin/python -m local.demo

cloud: tools ## start the local cloud and the function app; returns when both are ready (HOSTS=1 PORT=7070 PRIVATE=)
	@$(CLOUD) up --hosts $(HOSTS) --port $(PORT) --time-factor $(TIME_FACTOR) $(if $(PRIVATE),--private)

stop: .venv/installed ## stop what `make cloud` started
	@$(CLOUD) stop

SOURCE ?= github

report: tools ## have a source report a leak to the running local cloud (SOURCE=github), and watch
	@[ -e .local/env ] || { echo 'No local cloud is running: `make cloud` first.' >&2; exit 1; }
	@. .local/env && .venv/bin/python -m local.reporters.send_report $(SOURCE)

PURE := tests/unit/sas tests/unit/domain/decision

unit: .venv/installed ## run the unit tests, without sockets; every branch of the pure packages is covered
	@$(MAKE) --no-print-directory --output-sync=target --jobs 2 unit-pure unit-other

unit-pure: .venv/installed
	@.venv/bin/python -m coverage run -m pytest -q $(ORDER) $(PURE)
	@.venv/bin/python -m coverage report

unit-other: .venv/installed
	@.venv/bin/python -m pytest -q -n auto $(ORDER) tests/unit $(PURE:%=--ignore=%)

test: setup unit ## run every test except those of tools-test
	@.venv/bin/python -m pytest -q -n $(WORKERS) $(ORDER) --ignore=tests/unit --ignore=tests/tools

tools-test: tools ## run the tests that need Azure's own tools: azd, bicep and pwsh if they are on the PATH, the Azure CLI
	@.venv/bin/python -m pytest -q tests/tools

screenshots: setup ## create the pictures of the console in docs/images
	@DESK_SCREENSHOTS=docs/images .venv/bin/python -m pytest -q tests/e2e/console/test_screenshots.py

openapi: .venv/installed ## write the schemas of the responses into docs/openapi.yaml
	@.venv/bin/python -m tests.support.openapi_schemas

simulate: tools ## run the simulator longer (SEEDS=20000), and print the injected faults and the findings
	@.venv/bin/python -m tests.simulation --seeds $(SEEDS) --first $(FIRST)

bench: tools ## measure the speed on this machine: JSON lines, and docs/benchmarks.md (some minutes; BENCH=--help)
	@.venv/bin/python -m bench $(BENCH)

conformance: tools ## test assumptions about Azure in your subscription (SUBSCRIPTION=); without one, list them
	@.venv/bin/python -m conformance $(if $(SUBSCRIPTION),--subscription $(SUBSCRIPTION) --location $(LOCATION))

lint: .venv/installed .venv-checkov/installed ## check style, types, imports, shell scripts and infra/
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-cache
	@.venv/bin/shellcheck --external-sources scripts/*.sh scripts/hooks/*.sh .ci/run .ci/check-bicep
	@status=0; .ci/check-bicep infra || status=$$?; \
	if [ "$$status" = 3 ] && [ $(BICEP) != required ]; then \
	    echo 'infra/ was not checked.' >&2; \
	elif [ "$$status" != 0 ]; then \
	    exit "$$status"; \
	else \
	    .venv/bin/python -m tests.support.snapshots .local/infra; \
	    LOG_LEVEL=ERROR .venv-checkov/bin/checkov --config-file .checkov.yaml; \
	fi

format: .venv/installed ## format the code
	@.venv/bin/ruff check --fix-only --quiet .
	@.venv/bin/ruff format .

help: ## show this
	@sed -nE 's/^([a-z-]+):.*## (.*)/make \1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r target text; do \
	    printf '  %-17s  %s\n' "$$target" "$$text"; done

# Python 3.13 from wherever it is; uv, where it is there, can bring one, and makes an environment without ensurepip,
# which Debian ships apart.
.venv/installed: requirements-dev.txt
	@echo 'Installing the Python packages into .venv (about a minute) …'
	@python=''; \
	for candidate in python3.13 python3 python; do \
	    if "$$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null; then \
	        python=$$candidate; break; \
	    fi; \
	done; \
	if [ -n "$$python" ] && "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
	    [ -x .venv/bin/pip ] || "$$python" -m venv --clear .venv; \
	    .venv/bin/python -m pip install --quiet --quiet --disable-pip-version-check --require-hashes --requirement $<; \
	elif command -v uv >/dev/null; then \
	    [ -x .venv/bin/python ] || uv venv --quiet --python 3.13 .venv; \
	    uv pip install --quiet --python .venv/bin/python --require-hashes --requirement $<; \
	else \
	    echo 'Python 3.13 with its venv module is needed (on Debian: apt install python3.13-venv), or uv.' >&2; exit 1; \
	fi
	@touch $@

# Apart: it pins what the others need in other versions.
.venv-checkov/installed: .venv/installed requirements-checkov.txt
	@echo 'Installing checkov into .venv-checkov …'
	@if .venv/bin/python -c 'import ensurepip, venv' 2>/dev/null; then \
	    .venv/bin/python -m venv --clear .venv-checkov; \
	    .venv-checkov/bin/python -m pip install --quiet --quiet --disable-pip-version-check \
	        --require-hashes --requirement requirements-checkov.txt; \
	else \
	    uv venv --quiet --clear --python 3.13 .venv-checkov; \
	    uv pip install --quiet --python .venv-checkov/bin/python --require-hashes --requirement requirements-checkov.txt; \
	fi
	@touch $@

node_modules/installed: package-lock.json
	@command -v npm >/dev/null || { echo 'Node 20 with npm is needed, for Azurite and for checking queries.' >&2; exit 1; }
	@node -e 'process.exit(Number(process.versions.node.split(".")[0]) < 20 ? 1 : 0)' || { echo 'Node 20 or newer is needed.' >&2; exit 1; }
	@echo 'Installing Azurite, and what checks queries, into node_modules …'
	@npm ci --silent --no-audit --no-fund
	@touch $@
