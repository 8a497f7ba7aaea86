.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

help: ## Show this help
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

$(VENV)/.ready: pyproject.toml
	@echo "building the environment ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.ready
	@echo "installing what the tests need ..."
	@$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[dev]'
	@command -v chromium >/dev/null 2>&1 || sh infra/install_chromium.sh
	@touch $@

up: $(VENV)/.ready ## The whole system on this machine, with a plant in a box; Ctrl-C stops it
	@$(BIN)/permitwatch up

check: $(VENV)/.ready ## Try every part and say what is wrong and how to mend it
	@$(BIN)/permitwatch check

lint: $(VENV)/.dev ## ruff, mypy strict, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports

test: lint ## Lint, then every test on the real parts
	@$(BIN)/python -m pytest -q -n 2

test-all: lint ## Every test: all stories through Kafka too, chaos, twenty thousand fuzzed events
	@$(BIN)/python -m pytest -q -n 2 -m "every or not every"

fuzz: $(VENV)/.dev ## A million events of every kind, absurd ones too, the whole way; its page is docs/fuzz.md
	@$(BIN)/permitwatch fuzz --events 1000000 --write docs/fuzz.md

mutants: $(VENV)/.dev ## Small changes to the rules and to their figures, one at a time: which of them no test notices; docs/mutants.md, docs/figures-moved.md
	@$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[mutants]'
	@$(BIN)/python tests/mutants.py --write docs/mutants.md
	@$(BIN)/python tests/mutants.py --packs --write docs/figures-moved.md

chaos: $(VENV)/.dev ## kill -9 of every process under load; outputs and rows must equal an undisturbed run
	@$(BIN)/python -m pytest -q -m chaos

demands: $(VENV)/.dev ## Each demand of the domain document and the tests that show it
	@$(BIN)/python tests/demands.py

bench: $(VENV)/.ready ## Speed and memory, min/median/max, this machine named
	@$(BIN)/permitwatch bench

clean: ## Remove the environment (data in var/ stays)
	rm -rf $(VENV)

.PHONY: help up check lint test test-all fuzz mutants chaos demands bench clean
