# Each target makes its virtual environment by itself: python3 (3.11 or newer) and make are all that is needed.
#
#   make demo                          the main job on this interpreter's own standard library
#   make demo ARGS="--keep /tmp/look"  the same, and the shards stay for a look
#   make demo ARGS="--shards postgresql://… --locks redis://…"  the same over servers
#   make test PYTHON=python3.13 VENV=.venv-3.13
#   make test SERVERS=none             only what needs no server: Redis, ZooKeeper and the others are neither fetched nor started
#
# Without a C compiler everything runs as pure Python; RINGFENCE_REQUIRE_COMPILED=1 refuses that.

VENV ?= .venv
ARGS ?=
JOBS ?= 2
SERVERS ?= all
export RINGFENCE_SERVER_CACHE ?= $(CURDIR)/.cache/servers
RUN := $(VENV)/bin/python
CANDIDATES := $(if $(wildcard $(VENV)/bin/pip),$(RUN)) python3 python3.14 python3.13 python3.12 python3.11
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in $(CANDIDATES); do $$p -c '$(NEW_ENOUGH)' 2>/dev/null && echo $$p && break; done)

PREPARE = @$(if $(PYTHON),,$(error no python3 of version 3.11 or newer found; install one or say PYTHON=/path/to/it)) \
	$(PYTHON) -c '$(NEW_ENOUGH)' || { echo '$(PYTHON): Python 3.11 or newer is needed' >&2; exit 1; }; \
	$(PYTHON) tools/prepare.py $(VENV)

NO_SERVERS := $(filter none,$(SERVERS))

# Before the tests, so that a download is seen, and its failure is one clear error.
FETCH = @$(if $(NO_SERVERS),:,$(RUN) -m ringfence.testing.servers fetch || { \
	echo 'make test SERVERS=none runs the tests that need no server' >&2; exit 1; })

.DEFAULT_GOAL := help
.PHONY: help demo test test-all sanitize lint format bench tables docs clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 16

demo: ## store real files over five shards, add a sixth amid SIGKILLs, verify every byte
	$(PREPARE)
	$(RUN) -m ringfence demo $(ARGS)

test: ## run the tests
	$(PREPARE) test
	$(FETCH)
	$(RUN) -m pytest -n $(JOBS) -m "not slow$(if $(NO_SERVERS), and not servers)" $(ARGS)

test-all: ## run the tests, the slow ones too
	$(PREPARE) test compat-test
	$(FETCH)
	$(RUN) -m pytest -n $(JOBS) $(if $(NO_SERVERS),-m "not servers") $(ARGS)

sanitize: ## run the tests of the compiled core under AddressSanitizer
	$(PREPARE) test
	$(RUN) tools/sanitize.py $(ARGS)

lint: ## check style and types
	$(PREPARE) test lint bench
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check
	$(RUN) -m mypy

format: ## put the sources into the one format
	$(PREPARE) lint
	$(RUN) -m ruff check --fix
	$(RUN) -m ruff format

bench: ## measure ringfence beside its peers
	$(PREPARE) bench
	$(RUN) -m pytest benchmarks --benchmark-only $(ARGS)

tables: ## measure all, and write the measured tables and plots of the documentation anew
	$(PREPARE) bench
	mkdir -p .cache
	$(RUN) -m pytest benchmarks --benchmark-only --benchmark-json .cache/benchmarks.json $(ARGS)
	$(RUN) -m benchmarks.report .cache/benchmarks.json

docs: ## build the documentation into docs/_build/html
	$(PREPARE) docs
	$(RUN) -m sphinx -W --keep-going -q docs docs/_build/html

clean: ## remove everything that was made
	rm -rf $(VENV) .cache build dist docs/_build src/*.egg-info .mypy_cache .pytest_cache .ruff_cache .benchmarks .hypothesis
	find src tests benchmarks tools -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -f src/ringfence/_core/*.so src/ringfence/_core/*.c src/ringfence/_core/*.html
