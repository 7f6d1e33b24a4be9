# Every target makes its own environment, the demo a small one; all that is needed beforehand is python3, make and a package registry.
PYTHON ?= python3
BIN := .venv/bin
JOBS ?= 2

.DEFAULT_GOAL := help
.PHONY: help venv demo test coverage test-long release-check check docs format public-api clean

help:  ## show what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.venv/ready: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --group dev --editable '.[all]'
	@touch $@

venv: .venv/ready  ## make .venv with every extra and the development tools

.demo/ready: pyproject.toml
	$(PYTHON) -m venv .demo
	.demo/bin/python -m pip install --quiet --upgrade uv
	.demo/bin/uv pip install --quiet --compile-bytecode --python .demo/bin/python --editable '.[keras,web]'
	@touch $@

demo: .demo/ready  ## the main job: train, compare, recommend (under a minute once installed)
	.demo/bin/cofactor quickstart

test: .venv/ready  ## run the tests, in JOBS processes (2)
	$(BIN)/pytest -q -n $(JOBS) --dist loadfile

coverage: .venv/ready  ## the tests, counting the lines that they reach: at least 95 %; it takes half as long again
	$(BIN)/pytest -q -n $(JOBS) --dist loadfile --cov --cov-report=term --cov-fail-under=95

test-long: .venv/ready  ## the tests, with the long form of those that have one
	COFACTOR_TEST_LONG=1 $(BIN)/pytest -q

release-check: .venv/ready  ## wheel and sdist in empty environments, each extra, the oldest dependencies, known vulnerabilities, a bill of materials (an hour)
	COFACTOR_TEST_LONG=1 $(BIN)/pytest -q tests/release

check: .venv/ready  ## formatting, lint, types, the import contract, the project's metadata, doctests, the documentation
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/sp-repo-review .
	$(BIN)/pytest -q src
	$(MAKE) --no-print-directory docs

docs: .venv/ready  ## build the documentation site, docs/_build/html/index.html
	$(BIN)/sphinx-build --quiet --fresh-env --fail-on-warning --keep-going docs docs/_build/html

format: .venv/ready  ## format the code and mend what lint can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

public-api: .venv/ready  ## write tests/public_api.txt anew, to agree to a change of it
	$(BIN)/python tools/public_api.py

clean:  ## remove what the targets made
	find src -name "*.nbc" -delete
	rm -rf .venv .demo .mypy_cache .ruff_cache .pytest_cache .coverage* quickstart docs/_build docs/generated
