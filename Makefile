# Needs python3 (3.11 or newer) and make, nothing else: every verb makes .venv for itself, once.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PYTEST_ARGS ?=
# One worker a core; a file stays in one worker, since its tests share a gateway (CONTRIBUTING.md).
PYTEST_SHARED := -n auto --dist loadfile --no-loadscope-reorder
CUSTOMERS ?= 5000
DEMO_ARGS ?=
# Every command and worker that tests start would compile all modules anew: 0.5 s of each.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test lint bench nightly screenshots clean

help:
	@echo "make demo     a shop behind the gateway, in this terminal; CUSTOMERS=100000 for a large one"
	@echo "make test     all tests (an embedded PostgreSQL comes along)"
	@echo "make lint     ruff, mypy --strict, import-linter"
	@echo "make bench    the tables of docs/benchmarks.md"
	@echo "make nightly  the long tests"
	@echo "make screenshots  the pictures of docs/images (needs Chromium)"

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Consentry needs Python 3.11 or newer; try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.demo: pyproject.toml $(VENV)/.made
	$(BIN)/python -m pip install --disable-pip-version-check --quiet -e '.[demo]'
	@touch $@

$(VENV)/.test: pyproject.toml $(VENV)/.made
	$(BIN)/python -m pip install --disable-pip-version-check --quiet -e '.[test,lint]'
	@touch $@ $(VENV)/.demo

demo: $(VENV)/.demo
	$(BIN)/consentry demo --customers $(CUSTOMERS) $(DEMO_ARGS)

test: $(VENV)/.test
	$(BIN)/python -m pytest $(PYTEST_SHARED) $(PYTEST_ARGS)

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --diff proxy tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.test
	@for table in rewrite catalogs consent consent_files profile_sync profile_lookups matching audit_writer audit_search relay; do $(BIN)/python -m benchmarks.$$table || exit 1; done

screenshots: $(VENV)/.test
	$(BIN)/python -m tests.pages.screenshots

nightly: $(VENV)/.test
	CONSENTRY_NIGHTLY=1 $(BIN)/python -m pytest -m '' --timeout 7200 $(PYTEST_ARGS)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
