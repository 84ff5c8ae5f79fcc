# make run, make check: each sets up what it needs the first time, with uv if it is there, else with venv and pip.
PORT ?= 8000
PYTHON ?= $(shell command -v python3.11 || command -v python3)
UV := $(shell command -v uv)
VENV := .venv
BIN := $(VENV)/bin
GROUPS := tests browser notebooks benchmarks
SETUP := pyproject.toml constraints.txt

ifdef UV
MAKE_VENV = uv venv --quiet --allow-existing --python $(PYTHON) $(VENV)
# compiled here as pip does, else each process compiles all of it where Python may not write
INSTALL = uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint constraints.txt --editable .
else
# the pip that comes with Python 3.11 knows no --group
MAKE_VENV = $(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
INSTALL = $(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
endif

.PHONY: run check test fix install lock picture bench soak clean

run: $(VENV)/.for-running
	@$(BIN)/sizzle serve --port $(PORT)

check: $(VENV)/.for-checking
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/pytest

# the quick ones, for a developer who waits for them
test: $(VENV)/.for-checking
	$(BIN)/pytest tests -m "not slow"

fix: $(VENV)/.for-checking
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

install: $(VENV)/.for-checking

# the picture in README.md, of the page as it is
picture: $(VENV)/.for-checking
	$(BIN)/python -m docs.picture

# what benchmarks/RESULTS.md says of the speed, measured anew: about half an hour
bench: $(VENV)/.for-checking
	$(BIN)/python -m benchmarks

# what benchmarks/SOAK.md says of five minutes with a hundred runs at a time, done anew: about 8 minutes
soak: $(VENV)/.for-checking
	$(BIN)/python -m benchmarks.soak

# pins every version; the file holds no registry's address
# it needs no installed project: what is pinned may no longer fit what pyproject.toml asks for
lock: | $(VENV)/.made
	$(BIN)/python -m pip --version >/dev/null 2>&1 || uv pip install --quiet --python $(BIN)/python pip
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --upgrade --no-emit-index-url --no-header --no-annotate \
		$(GROUPS:%=--group %) pyproject.toml --output-file constraints.txt

clean:
	rm -rf $(VENV) *.egg-info .pytest_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/.made:
	@echo "Setting up $(VENV) …"
	@$(MAKE_VENV)
	@touch $@

$(VENV)/.for-running: $(SETUP) | $(VENV)/.made
	@echo "Installing what Sizzle needs to run …"
	@$(INSTALL)
	@touch $@

$(VENV)/.for-checking: $(SETUP) | $(VENV)/.made
	@echo "Installing what Sizzle needs to run and to be checked …"
	@$(INSTALL) $(GROUPS:%=--group %)
	@touch $@ $(VENV)/.for-running
