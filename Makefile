# `make` alone lists the targets. The work is in scripts/, so that each step can be run alone.
# PYTHON=/path/to/python3 chooses the interpreter; ARGS="…" goes to the command: make test ARGS="tests/channels -x"
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup demo test lint format bench wheel lock clean

help:     ## this list
	@sed -nE 's/^([a-z]+): .*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

setup:    ## make .venv with the product in it; nothing to do, nothing done
	@scripts/setup

demo:     ## a hospital in a box: real sockets, invented patients
	@scripts/setup
	@scripts/system-packages demo || echo "demo: without these packages no PDF copy is made, or no mailbox read" >&2
	@.venv/bin/vaguemestre demo $(ARGS)

test:     ## every check and every test, with what they need
	@scripts/test $(ARGS)

lint:     ## format, lint, types, layers
	@scripts/setup --dev
	@scripts/check

format:   ## put the code in its format, repair what can be
	@scripts/setup --dev
	@.venv/bin/ruff format .
	@.venv/bin/ruff check --fix .

bench:    ## the figures of docs/, beside their floors
	@scripts/setup --dev
	@.venv/bin/python -m bench $(ARGS)

wheel:    ## dist/*.whl, tried in an environment of its own, without a network
	@scripts/setup --dev
	@scripts/wheel

lock:     ## write the locks again from pyproject.toml (needs uv): make lock ARGS="--upgrade"
	@scripts/lock $(ARGS)

clean:    ## remove what the targets above made, but .venv
	@rm -rf build dist htmlcov .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
