# Needs make and Python >= 3.12 only; everything else goes into .venv folders here. `make help` lists the commands.
PYTHON ?= $(shell for python in python3.12 python3 python python3.13 python3.14; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 12))' >/dev/null 2>&1 && echo $$python && break; done)
# A comma in a call of `install` would part its arguments.
EVERYTHING := .[dev,compute,report,distributed,docs]
ANALYSIS := .[dev,report,distributed]
# pytest on all cores (8 at most); a core that has no tests left takes some of another's.
PARALLEL := -n logical --maxprocesses 8 --dist worksteal

.PHONY: help install test test-analysis test-minimal lint docs wheel demo clean
.DEFAULT_GOAL := help

help: ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /make \1\t/' | expand -t 20

install: .venv/installed ## install what demo, test, lint and docs need, torch too (several GB)

test: .venv/installed ## run all tests and doctests, of the analysis and of computing, on all cores
	.venv/bin/pytest $(PARALLEL)

test-analysis: .venv-analysis/installed ## run all tests of the analysis, where torch is not wanted
	.venv-analysis/bin/pytest $(PARALLEL)

test-minimal: .venv-minimal/installed ## show that the analysis runs without torch, matplotlib and jinja2
	.venv-minimal/bin/pytest tests/test_minimal.py

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

demo: .venv/installed ## train networks on drawn faces, analyse them, write a report
	@.venv/bin/relstats demo build/demo

clean: ## delete what these commands have made
	rm -rf .venv .venv-analysis .venv-minimal build .pytest_cache .ruff_cache .mypy_cache .hypothesis .import_linter_cache

# $(call install,FOLDER,PACKAGES): a virtual environment, redone only when pyproject.toml or constraints.txt change.
define install
	@test -n "$(PYTHON)" || { echo "relstats needs Python >= 3.12, and none was found: install one, or name it with 'make PYTHON=/path/to/python3.12'" >&2; exit 1; }
	@echo "installing into $(1) ..."
	@test -x $(1)/bin/pip || $(PYTHON) -m venv $(1)
	@$(1)/bin/pip install -qq --disable-pip-version-check --constraint constraints.txt --editable $(2)
	@touch $@
endef

.venv/installed: pyproject.toml constraints.txt
	$(call install,.venv,'$(EVERYTHING)')

.venv-analysis/installed: pyproject.toml constraints.txt
	$(call install,.venv-analysis,'$(ANALYSIS)')

.venv-minimal/installed: pyproject.toml constraints.txt
	@rm -rf .venv-minimal
	$(call install,.venv-minimal,. pytest)
