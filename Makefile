# Bootyard: `make setup` needs the network, everything after it does not.

PYTEST = .venv/bin/python -m pytest
LOCKED = flock -o .
export DEBIAN_MIRROR PYTHON UPGRADE

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup loaders run dev check test-packages test-packages-long test test-all lab fuzz bench lock

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "  make %-10s %s\n", $$1, $$2 }'

setup: ## system packages, .venv and boot loaders; nothing is done twice
	@$(LOCKED) deploy/setup/setup.sh

loaders: ## unpack the boot loaders again, as the mirror has them today
	@$(LOCKED) deploy/setup/loaders.sh .venv/share/bootyard/loaders $(DEBIAN_MIRROR)

run: setup ## set up, then run all of Bootyard here
	@exec .venv/bin/bootyard up

dev:
	@$(LOCKED) deploy/setup/python.sh dev

check: dev ## format, lint, types and contracts between rooms
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports

test-packages:
	@$(LOCKED) deploy/setup/test-packages.sh

test-packages-long:
	@$(LOCKED) deploy/setup/test-packages.sh long

test: setup test-packages check ## check, then the tests that must always pass
	$(PYTEST) -m "not long" $(ARGS)

test-all: setup test-packages-long check ## the same and the long journeys
	$(PYTEST) $(ARGS)

lab: setup test-packages dev ## real firmware in QEMU only; ARGS="-k bios" picks some
	$(PYTEST) tests/lab $(ARGS)

fuzz: dev ## changed input for every decoder, SECONDS=60 in all; ARGS="tftp names" picks some
	.venv/bin/python -m tests.fuzz.run --seconds $(or $(SECONDS),60) $(ARGS)

bench: setup dev ## the measurements in bench/; ARGS="tftp --quick" is one of them
	@set -- $(ARGS); which=$${1:-*}; [ $$# -eq 0 ] || shift; status=2; \
	for script in bench/$$which.py; do \
		[ -x "$$script" ] || continue; \
		[ $$status -ne 2 ] || status=0; \
		echo "== $$script"; PATH="$$PWD/.venv/bin:$$PATH" "$$script" "$$@" || status=1; \
	done; [ $$status -ne 2 ] || echo "bench/ has no $$which.py"; exit $$status

lock: dev ## write the requirements files anew from pyproject.toml (UPGRADE=1: newest versions)
	@deploy/setup/lock.sh
