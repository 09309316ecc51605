# `make tune` and `make test` do all the set-up themselves, in .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: install tune test test-all test-lowest bench lint format constraints clean

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Kallos needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

tune: install
	$(BIN)/kallos-run ingest --demo
	$(BIN)/kallos-run nightly --study deployments/studies/demo.toml
	$(BIN)/kallos-run nightly --study deployments/studies/demo-returns.toml

test: install
	$(BIN)/python -m pytest -n 2 --dist loadgroup --no-loadscope-reorder

# With the tests that take minutes each.
test-all: install
	$(BIN)/python -m pytest -m "" -n 2 --dist loadgroup --no-loadscope-reorder

# The quick tests on the lowest version of each requirement, in an environment of its own. Torch is the tested version: of
# an older one there may be no CPU build at hand, and its build for CUDA is some gigabytes.
LOWEST := .venv-lowest

test-lowest: $(LOWEST)/installed
	$(LOWEST)/bin/python -m pytest tests/kallos -n 2 --dist loadgroup --no-loadscope-reorder

$(LOWEST)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv --clear $(LOWEST)
	$(PYTHON) tests/lowest_versions.py > $(LOWEST)/constraints.txt
	$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check -c $(LOWEST)/constraints.txt -e '.[dev]'
	touch $@

# An hour and a half on two cores: the figures of benchmarks/README.md. Data lie beside the checkout, in ../shared/data.
bench: install
	$(BIN)/python -m benchmarks

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# After a change of requirements: what is installed, and was tested, becomes the tested set.
constraints:
	$(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu$$//' > constraints.txt

clean:
	rm -rf .venv $(LOWEST)
