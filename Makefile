# Everything a newcomer, a contributor and CI do, by one name each. `make` alone lists them.
# Needs make, a Python 3.11 or newer with venv, and nothing else; all of it stays in this folder.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# The first of these that is new enough; `make setup PYTHON=/path/to/python` overrides it.
CANDIDATES := python3 python3.13 python3.12 python3.11
IS_NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in $(CANDIDATES); do \
	if "$$p" -c '$(IS_NEW_ENOUGH)' 2>/dev/null; then echo "$$p"; break; fi; done)

VENV := .venv
BIN := $(VENV)/bin
# --require-hashes: what is installed is what was locked, byte for byte, whichever index it came from.
# -qq: errors only; an index that lacks a package is not news.
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
# Arguments for pytest: make test ARGS="-k ledger"
ARGS ?=

.PHONY: help setup setup-dev demo test check nightly controls bench docs lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.run-installed ## make .venv with what a run and the lab need

setup-dev: $(VENV)/.dev-installed ## … and what the tests need

$(BIN)/python:
	@if [ -z "$(PYTHON)" ] || ! "$(PYTHON)" -c '$(IS_NEW_ENOUGH)'; then \
		echo "Stormproof needs Python 3.11 or newer; $(or $(PYTHON),python3) is not." >&2; \
		echo "hint: make $(or $(MAKECMDGOALS),setup) PYTHON=/path/to/python3.12" >&2; exit 69; fi
	@"$(PYTHON)" -m venv --clear $(VENV) || { rm -rf $(VENV); exit 69; }

# The stamps are newer than the locks while what is installed is what is locked. The development set contains
# the other one, so it stamps both.
$(VENV)/.run-installed: requirements/run.txt pyproject.toml | $(BIN)/python
	@echo "installing what a run needs (about a minute the first time)"
	@$(PIP) install --require-hashes --requirement requirements/run.txt
	@$(PIP) install --no-build-isolation --no-deps --no-index --editable .
	@touch $@

$(VENV)/.dev-installed: requirements/dev.txt pyproject.toml | $(BIN)/python
	@echo "installing what the tests need (about a minute the first time)"
	@$(PIP) install --require-hashes --requirement requirements/dev.txt
	@$(PIP) install --no-build-isolation --no-deps --no-index --editable .
	@touch $(VENV)/.run-installed $@

demo: setup ## lose a zone of a real workload under load, and read the verdict (three minutes)
	@$(BIN)/stormproof run experiments/az-loss --env local

test: setup-dev ## every test, with short timelines (minutes)
	@scripts/test $(BIN)/python $(ARGS)

check: setup-dev ## style, types, import contracts, generated pages, locks, shipped experiments
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy tests/typing/api.py scripts/reference.py
	$(BIN)/lint-imports --no-cache
	$(BIN)/cog --check --check-fail-msg "run: make docs" -I scripts docs/reference/*.md
	$(BIN)/python scripts/fault_pages.py --check
	! grep --extended-regexp --line-number '://|^ *-(i|f)|--(extra-)?index|--find-links' requirements/*.txt
	$(BIN)/stormproof validate experiments/*/experiment.yaml

nightly: setup ## every shipped experiment in a hardened lab, in a quarter of an hour; NAIVE=az-loss turns it red
	@scripts/nightly $(BIN)/stormproof $(if $(NAIVE),--set $(NAIVE):lab.variant=naive) $(ARGS)

controls: setup-dev ## every experiment at full length on hardened, naive and no-op, as a table (half an hour)
	@$(BIN)/python tests/controls/run_table.py

bench: setup-dev ## what recording costs, how late arrivals are, how soon an undo is done, how intervals cover (hours)
	@for script in recorder_overhead client_cost arrival_lateness run_wall_time undo_latency kill_campaign retry_traces \
			backoff_table identify_clients analysis_size run_size calibration early_decision \
			suite_kills drift_alarms control_groups load_validity causes silent_zones; do \
		echo "── bench/$$script.py"; $(BIN)/python bench/$$script.py; done

docs: setup-dev ## regenerate the reference pages from the code
	@$(BIN)/cog -r -I scripts docs/reference/*.md
	@$(BIN)/python scripts/fault_pages.py

lock: ## rewrite requirements/*.txt from pyproject.toml
	@scripts/lock

clean: ## remove everything that these targets made; reports/ stays
	@rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .benchmarks
	@find src probes tests bench experiments scripts -name __pycache__ -type d -prune -exec rm -rf {} +
