# Needs make and Python >= 3.12 only; everything else goes into .venv folders here. `make help` lists the commands.
PYTHON ?= $(shell for python in python3.12 python3 python python3.13 python3.14; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 12))' >/dev/null 2>&1 && echo $$python && break; done)
ANALYSIS := .[dev,report,distributed,docs]
COMPUTE := .[dev,compute,report]

.PHONY: help test test-compute test-minimal lint docs wheel demo clean
.DEFAULT_GOAL := help

help: ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /make \1\t/' | expand -t 20

test: .venv/installed ## run all tests and doctests of the analysis layer (no torch)
	.venv/bin/pytest

test-compute: .venv-compute/installed ## run the tests of the compute layer (installs torch: several GB)
	.venv-compute/bin/pytest tests/compute relstats/compute

test-minimal: .venv-minimal/installed ## run the tests again without any optional package
	.venv-minimal/bin/pytest

lint: .venv/installed ## check style, format, types and the direction of imports
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports

docs: .venv/installed ## build the pages of docs/ into docs/_build
	.venv/bin/sphinx-build -W --keep-going -q docs docs/_build

wheel: .venv/installed ## build the package, install it elsewhere, and run it there
	rm -rf build/wheel && mkdir -p build/wheel/away
	.venv/bin/pip wheel -qq --disable-pip-version-check --no-deps --wheel-dir build/wheel .
	$(PYTHON) -m venv build/wheel/venv
	build/wheel/venv/bin/pip install -qq --disable-pip-version-check --constraint constraints.txt "$$(echo build/wheel/*.whl)[report]"
	cd build/wheel/away && ../venv/bin/relstats simulate s.zarr --seeds 3 --images 12 --size 16 \
		&& ../venv/bin/relstats compare s.zarr --axis pretrain && ../venv/bin/relstats report s.zarr -o report.html

demo: .venv-compute/installed ## train networks on drawn faces, analyse them, write a report (installs torch: several GB)
	@.venv-compute/bin/relstats demo build/demo

clean: ## delete what these commands have made
	rm -rf .venv .venv-compute .venv-minimal build .pytest_cache .ruff_cache .mypy_cache .hypothesis .import_linter_cache

# $(call install,FOLDER,PACKAGES): a virtual environment, redone only when pyproject.toml or constraints.txt change.
define install
	@test -n "$(PYTHON)" || { echo "relstats needs Python >= 3.12, and none was found: install one, or name it with 'make PYTHON=/path/to/python3.12'" >&2; exit 1; }
	@echo "installing into $(1) ..."
	@test -x $(1)/bin/pip || $(PYTHON) -m venv $(1)
	@$(1)/bin/pip install -qq --disable-pip-version-check --constraint constraints.txt --editable $(2)
	@touch $@
endef

.venv/installed: pyproject.toml constraints.txt
	$(call install,.venv,'$(ANALYSIS)')

.venv-compute/installed: pyproject.toml constraints.txt
	$(call install,.venv-compute,'$(COMPUTE)')

.venv-minimal/installed: pyproject.toml constraints.txt
	@rm -rf .venv-minimal
	$(call install,.venv-minimal,. pytest hypothesis statsmodels pingouin)
