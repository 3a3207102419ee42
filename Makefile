# Everything a person or a machine does with a checkout. Needs python3.11 or newer, make and git; no more.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3.14 python3,$(shell command -v $(name))))
override PORT := $(or $(strip $(PORT)),8000)
export PORT

# Every process would compile all it loads: a worker of the tests takes 12 s of processor time to begin, instead of 5 s.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
MANAGE := $(BIN)/python manage.py
PINS := .venv/.pins-installed

# Processes that run the tests, each with databases of its own. Twice as many as two processors: many tests wait.
JOBS ?= 4

.PHONY: help setup run test test-deep lint bench lock clean

help:
	@echo "make run        the register with a demo on http://127.0.0.1:$(PORT) (choose another port with PORT=)"
	@echo "make test       all tests, with the coverage they must reach"
	@echo "make test-deep  the same with many more examples and faults"
	@echo "make lint       style, types, layers, code that only tests call, missing migrations"
	@echo "make bench      measure beside Django's and the databases' own tools, in rounds (an hour); goes on where it was"
	@echo "                stopped; writes benchmarks/RESULTS*.md. A part of it: SIZES=20000 ENGINES=sqlite ROUNDS=1"
	@echo "                STEPS=\"backup restore exchange company companies marks versions pages\"; OLD=COMMIT is the version to compare with"
	@echo "make lock       choose new versions of the pinned packages"
	@echo "make clean      remove the environment and caches; the data in var/ stays"

setup: $(PINS)

$(PINS): requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Muster needs Python 3.11 or newer: make PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

run: setup
	@$(BIN)/python -c 'import socket; socket.create_server(("127.0.0.1", $(PORT)))' 2> /dev/null || { echo "Port $(PORT) is taken, or is no port. Nothing was started. Choose another: make run PORT=8001"; exit 1; }
	@$(MANAGE) migrate --verbosity 0
	@$(MANAGE) collectstatic --noinput --verbosity 0
	@$(MANAGE) seed_demo --if-empty
	@echo "Muster on http://127.0.0.1:$(PORT) - Ctrl-C stops it."
	@# The environment is the only place of settings, so no .env file.
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/honcho --env /dev/null start

test: setup
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal --cov --cov-report=
	@$(BIN)/coverage report --include='recordsync/*' --fail-under=95
	@$(BIN)/coverage report --include='core/*' --omit='core/management/*,core/demo/*,core/web/*' --fail-under=90

test-deep: export MUSTER_TEST_DEEP = 1
test-deep: test

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m tests.unused_code
	$(MANAGE) makemigrations --check

# The version that `make bench` compares this one with: the last before the database made the lines of a backup.
OLD ?= 1a608b5

# A part is measured with SIZES, ENGINES, STEPS, ROUNDS. Finished rounds are kept in benchmarks/raw/COMMIT, or in
# FIGURES=FOLDER. BENCH takes any other option (python -m benchmarks --help).
bench: setup
	$(BIN)/python -m benchmarks --old $(OLD) $(if $(SIZES),--sizes $(SIZES)) $(if $(ENGINES),--engines $(ENGINES)) \
		$(if $(STEPS),--steps $(STEPS)) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(FIGURES),--figures $(FIGURES)) $(BENCH)

# One command for each file: what a server runs, and what a developer needs on top of it.
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
	--no-strip-extras --no-emit-index-url --no-emit-find-links --no-annotate --no-header pyproject.toml

lock: setup
	$(LOCK) --output-file requirements.txt
	$(LOCK) --extra dev --output-file requirements-dev.txt

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage .coverage.* htmlcov
	find . -name __pycache__ -type d -not -path './.git/*' -exec rm -rf {} +
