# Two commands: `make demo` and `make test` do all set-up themselves.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

# Waiting threads sleep instead of spinning: see docs/adr/0006-threads-that-sleep.md.
export OMP_WAIT_POLICY := PASSIVE

.PHONY: help demo test services lint types format build clean

help:
	@echo "make demo      install, simulate, fit, replay a day with incidents, write demo-report/report.html"
	@echo "make test      install and run all tests"
	@echo "make services  install the servers that tests run against (apt); without them those tests are skipped"
	@echo "make lint      ruff and import-linter"
	@echo "make types     mypy and pyright"
	@echo "make format    format the code"
	@echo "make build     build wheel and source distribution into dist/"
	@echo "make clean     remove everything that can be made again"

$(VENV)/.runtime: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch==2.13.0 -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch==2.13.0 -e '.[dev]'
	@touch $@

demo: $(VENV)/.runtime
	$(BIN)/tsdiff-monitor demo --report demo-report

test: $(VENV)/.dev
	$(BIN)/pytest

services:
	scripts/install-services.sh

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.dev
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

build: $(VENV)/.dev
	$(BIN)/python -m build

clean:
	rm -rf $(VENV) dist build demo-report .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
