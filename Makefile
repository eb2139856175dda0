# Needs Python 3.11 or newer, make and git; everything else comes from the lock file.
SHELL := /bin/bash
.DEFAULT_GOAL := help
export UV_PYTHON_DOWNLOADS := never
# Every process of a run would compile every library again.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
# Distributions build their interpreter with profile-guided optimisation. One compiled by hand seldom is, and runs the
# services a tenth slower.
export UV_PYTHON ?= $(firstword $(sort $(wildcard /usr/bin/python3.1[1-9])) $(PYTHON))
ROLE ?= admin
TENANT ?= acme
WORKERS ?= 2
CASES ?= 20000
FILLED ?= 200000
SEED ?= 7

TOOLS := .cache/tools
UV := $(or $(shell command -v uv 2>/dev/null),$(TOOLS)/bin/uv)
SYNCED := .venv/.synced
RUN := .venv/bin/python
STACK := $(RUN) -m sandbox.stack

.PHONY: help setup demo up down status logs seed token reset test test-fast test-disorder filled chaos bench fuzz lint fmt types proto openapi asyncapi licences audit chart dashboards observe grafana metrics capabilities ci

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  \033[1m%-13s\033[0m %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(TOOLS)/bin/uv:
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/python -m pip install --quiet 'uv>=0.13,<0.14'

# uv itself is a prerequisite only where it is not on PATH.
$(SYNCED): uv.lock pyproject.toml $(wildcard libs/*/pyproject.toml services/*/pyproject.toml sandbox/pyproject.toml) $(filter $(TOOLS)/bin/uv,$(UV))
	$(UV) sync --frozen
	@touch $@

setup: $(SYNCED) ## install everything from the lock file into .venv

demo: $(SYNCED) ## play the field example through the whole system
	$(RUN) -m sandbox.story.demo

up: $(SYNCED) ## start everything on this machine and leave it running
	@$(STACK) up

down: $(SYNCED) ## stop everything, a demo too; keep the data
	@$(STACK) down
	@if [ -d .run/demo ]; then $(STACK) --run-dir .run/demo down >/dev/null; fi

status: $(SYNCED) ## show what runs and where
	@$(STACK) status || true

logs: $(SYNCED) ## follow the logs; SERVICE=scoring for one
	@$(STACK) logs $(SERVICE) --follow

seed: $(SYNCED) ## give the running stack a small company and the field example, and say what to try
	@$(RUN) -m sandbox.story.seed

token: $(SYNCED) ## print a bearer token; ROLE=admin|manager|rep|partner|service|sre|platform-sre SUBJECT=<user id> TENANT=acme
	@$(STACK) token --role $(ROLE) --tenant $(TENANT) --subject "$(SUBJECT)"

reset: $(SYNCED) ## stop everything and delete its data; YES=1 does not ask
	@$(STACK) reset

# Python 3.11.2 stops with a SystemError when the collector formats a traceback while pytest reports a failed test. It
# does not without the marks under each line (python/cpython#106905).
test test-fast test-disorder dashboards filled fuzz: export PYTHONNODEBUGRANGES = 1

test: $(SYNCED) ## run every test: unit, integration, end to end
	$(RUN) -m pytest -n $(WORKERS) -m "not dashboards and not alone" tests
	$(RUN) -m pytest -n 0 -m alone tests

chaos: $(SYNCED) ## break everything at random under load and compare what is left; SEED=7
	$(RUN) -m tools.chaos

test-fast: $(SYNCED) ## run the tests that need neither PostgreSQL nor Kafka
	$(RUN) -m pytest -n $(WORKERS) --hypothesis-profile fast \
		-m "not stack and not e2e and not slow and not dashboards" tests

test-disorder: $(SYNCED) ## run the tests of services whose parts take their turns at random; SEED=7
	$(RUN) -m pytest -n $(WORKERS) --disorder $(SEED) -m "stack and not slow and not dashboards" tests

filled: $(SYNCED) ## fill the databases with FILLED=200000 opportunities, and see that few rows are read
	FILLED=$(FILLED) $(RUN) -m pytest -n 0 tests/plans/test_filled.py

bench: $(SYNCED) ## measure beside a bare pipeline in the same run; bench/results.json
	$(RUN) -m tools.bench

fuzz: $(SYNCED) ## send CASES=20000 schemathesis cases to every service
	FUZZ_CASES=$(CASES) $(RUN) -m pytest -n $(WORKERS) --dist load -rP tests/security/test_fuzz.py

# The kit declares the libraries that all services use, so a service may import them (DEP003). Servers and binaries are
# dependencies that no code imports (DEP002).
lint: $(SYNCED) ## check style, layers and declared dependencies
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/lint-imports
	@for project in libs/* services/* sandbox; do (cd $$project && $(CURDIR)/.venv/bin/deptry --ignore DEP002,DEP003 src) || exit 1; done

fmt: $(SYNCED) ## format and fix what can be fixed
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

types: $(SYNCED) ## check types
	.venv/bin/basedpyright

chart: $(SYNCED) ## lint, render and validate the Helm charts; UPDATE=1 writes the golden files
	$(RUN) -m tools.chart $(if $(UPDATE),--update)

dashboards: $(SYNCED) ## check every panel, rule and runbook on a running system with a real Prometheus
	$(RUN) -m pytest -n 0 -rP -m dashboards tests/observability

observe: $(SYNCED) ## show dashboards and traces of the running system in a local page
	@$(RUN) -m sandbox.observe

grafana: $(SYNCED) ## generate deploy/grafana from tools/dashboards
	$(RUN) -m tools.dashboards

metrics: $(SYNCED) ## list every metric in docs/metrics.md
	$(RUN) tools/metrics.py

capabilities: $(SYNCED) ## list in docs/capabilities.md what the product can do, with the tests that show it
	$(RUN) tools/capabilities.py

proto: $(SYNCED) ## lint the event contracts and generate their Python
	$(RUN) tools/proto.py

openapi: $(SYNCED) ## generate docs/openapi
	$(RUN) tools/openapi.py

asyncapi: $(SYNCED) ## generate docs/asyncapi.yaml
	$(RUN) tools/asyncapi.py

licences: $(SYNCED) ## list every dependency and its licence in docs/licences.md
	$(RUN) tools/licences.py

audit: $(SYNCED) ## ask OSV whether a locked package has a known vulnerability
	$(RUN) tools/audit.py --uv $(UV)

ci: lint types test ## what a change must pass
