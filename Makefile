SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
# Layers whose tests need neither a database nor a browser; those not written yet are left out.
FAST := $(wildcard $(addprefix tests/,domain policy sources identification properties promises))
# What decides: every line and every branch is reached by a test.
PURE := pdp/domain/*,pdp/policy/*,pdp/sources/*,pdp/identification/*,pdp/oidc/enforce.py
DESCRIBED := pyproject.toml setup.cfg tools/setup-venv

.PHONY: help setup demo story test test-fast bench lint format docs clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.runtime ## Make .venv and install Pratique in it

demo: setup ## Run server, example application and five devices; prints URLs and passwords
	@$(BIN)/pdp demo

story: setup ## Play the whole story over HTTP; exit 0 only if every step happened
	@$(BIN)/pdp demo --story

test: .venv/.test ## Install what tests need, lint, then run all tests with coverage
	@tools/install-test-servers
	@$(MAKE) lint
	$(PYTEST) -n auto --maxprocesses 8 --cov --durations 10 --ignore tests/benchmarks
	$(BIN)/coverage report --fail-under 100 --include '$(PURE)'

test-fast: .venv/.test ## Run the tests that need no server (seconds)
	$(PYTEST) $(FAST)

bench: .venv/.bench ## Measure the hot paths; figures are ratios within one run
	@tools/install-test-servers wrk
	$(PYTEST) tests/benchmarks --benchmark-only -p no:xdist -p no:randomly -p no:cacheprovider
	@for script in tests/benchmarks/run_*.py; do module=$${script%.py}; \
	  echo "== $$script"; $(BIN)/python -m "$${module//\//.}"; done

lint: .venv/.test ## Check style, types and the import contracts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/.test ## Rewrite the code in house style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: .venv/.test ## Check the docs: links resolve, settings and commands are documented
	$(PYTEST) tests/promises/test_docs_are_true.py tests/promises/test_make_help.py

clean: ## Remove .venv and everything that tools leave behind (never var/, which holds data)
	rm -rf .venv build dist *.egg-info htmlcov .coverage .coverage.* .pytest_cache .mypy_cache \
	  .ruff_cache .hypothesis .import_linter_cache .benchmarks
	find . -name __pycache__ -type d -not -path './node_modules/*' -prune -exec rm -rf {} +

.venv/.runtime: $(DESCRIBED)
	@tools/setup-venv runtime

.venv/.test: $(DESCRIBED)
	@tools/setup-venv runtime test

.venv/.bench: $(DESCRIBED)
	@tools/setup-venv runtime test bench
