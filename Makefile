# make run and make check install what they need on first use, with uv if available, otherwise with venv and pip.
PORT ?= 8000
PYTHON ?= $(shell command -v python3.11 || command -v python3)
UV := $(shell command -v uv)
VENV := .venv
BIN := $(VENV)/bin
GROUPS := tests browser notebooks benchmarks
DEPLOYED := --extra otel --extra redis --group build
SETUP := pyproject.toml constraints.txt
PLAIN := run_routes generate events failures attempts schedule rewrite resume runs faults lasting_faults cuts compositions any_chat_model

ifdef UV
MAKE_VENV = uv venv --quiet --allow-existing --python $(PYTHON) $(VENV)
# compiled at install, as pip does; otherwise every process compiles everything if it cannot write the cache
INSTALL = uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint constraints.txt --editable .
else
# pip of Python 3.11 does not support --group
MAKE_VENV = $(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
INSTALL = $(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
endif

# the types of the pages' JavaScript; npm install --prefix tests/node brings tsc, which CI must have
ifneq ($(or $(wildcard tests/node/node_modules/.bin/tsc),$(CI)),)
TSC = tests/node/node_modules/.bin/tsc --project tests/node
else
TSC = @echo "The JavaScript is not checked: npm install --prefix tests/node brings what does."
endif

# Python keeps what it has compiled, otherwise each process of the tests compiles the program and its tests for seconds
export PYTHONDONTWRITEBYTECODE :=

# `make check` is `check-types`, `check-code` and `check-tests`
.PHONY: run check check-types check-code check-tests test coverage matrix fix install lock audit deploy-check picture bench soak chaos clean check-plain

run: $(VENV)/.for-running
	@$(BIN)/sizzle serve --port $(PORT)

# the types are checked while the tests run, because pyright uses one core only
check: $(VENV)/.for-checking
	@$(MAKE) --no-print-directory --jobs 2 check-types check-code check-tests

check-types: | $(VENV)/.for-checking
	$(BIN)/pyright

check-code: | $(VENV)/.for-checking
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(TSC)

check-tests: | check-code
	$(BIN)/pytest

# the tests of chains, streams and wires without chains/_fast
check-plain: $(VENV)/.for-checking
	SIZZLE_FAST=false $(BIN)/pytest $(PLAIN:%=tests/test_%.py)

# the quick tests, in less than a minute
test: $(VENV)/.for-checking
	$(BIN)/pytest tests -m "not slow and not long"

# how much of the program the tests of this process run; less than fail_under in pyproject.toml fails
coverage: $(VENV)/.for-checking
	$(BIN)/pytest tests -m "not slow" --cov --cov-report=term

# the tests of `make coverage` on each Python that is installed, and with the lowest and the newest dependencies
matrix: | $(BIN)/uv
	UV=$(BIN)/uv scripts/matrix

fix: $(VENV)/.for-checking
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

install: $(VENV)/.for-checking

# takes the screenshot in README.md
picture: $(VENV)/.for-checking
	$(BIN)/python -m docs.picture

# repeats the measurements of benchmarks/RESULTS.md and STORES.md; takes about 40 minutes
bench: $(VENV)/.for-checking
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.stores

# repeats benchmarks/SOAK.md: a hundred concurrent runs for five minutes; takes about 8 minutes
soak: $(VENV)/.for-checking
	$(BIN)/python -m benchmarks.soak

# kills workers, web nodes, Redis and the embedded server under runs, and writes benchmarks/CHAOS.md; takes about 15 minutes
chaos: $(VENV)/.for-checking
	$(BIN)/python -m benchmarks.chaos

# pins every version, and those of deploy/requirements.txt with their hashes, without the address of a registry
# does not need an installed project, because the pins may no longer match pyproject.toml
lock: | $(VENV)/.made
	$(BIN)/python -m pip --version >/dev/null 2>&1 || uv pip install --quiet --python $(BIN)/python pip
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --upgrade --no-emit-index-url --no-header --no-annotate \
		$(GROUPS:%=--group %) --group build pyproject.toml --output-file constraints.txt
	$(BIN)/uv pip compile --quiet --universal --no-emit-index-url --no-emit-find-links --no-header --no-annotate \
		--generate-hashes --constraint constraints.txt $(DEPLOYED) pyproject.toml --output-file deploy/requirements.txt

# asks a public database for known vulnerabilities of what is deployed; fails, and says so, where it is out of reach
audit: | $(VENV)/.made
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || uv pip install --quiet --python $(BIN)/python pip
	@$(BIN)/python -m pip install --quiet pip-audit
	$(BIN)/pip-audit --strict --disable-pip --requirement deploy/requirements.txt

# takes the Dockerfile's steps, serves through nginx, and restarts everything during runs; about three minutes
deploy-check: $(VENV)/.for-checking
	$(BIN)/python -m scripts.deploy_check

clean:
	rm -rf $(VENV) *.egg-info .pytest_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/.made:
	@echo "Setting up $(VENV) …"
	@$(MAKE_VENV)
	@touch $@

$(BIN)/uv: | $(VENV)/.made
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || uv pip install --quiet --python $(BIN)/python pip
	@$(BIN)/python -m pip install --quiet uv

$(VENV)/.for-running: $(SETUP) | $(VENV)/.made
	@echo "Installing what Sizzle needs to run …"
	@$(INSTALL)
	@touch $@

$(VENV)/.for-checking: $(SETUP) | $(VENV)/.made
	@echo "Installing what Sizzle needs to run and to be checked …"
	@$(INSTALL) $(GROUPS:%=--group %)
	@touch $@ $(VENV)/.for-running
