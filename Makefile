# Two commands are enough: `make demo` and `make test`. Each sets up what it needs on first use.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
CONTRACTS := .venv/contracts/bin
ORACLE := .venv/oracle/bin
SOLC := .solc/solc-v0.8.30

# What the two environments are known by. Targets name these files: after a target that is no file, make sometimes starts
# what waits for it only when the next job has ended.
FOR_CONTRACTS := .cache/node.stamp .cache/contracts.stamp $(SOLC)
FOR_ORACLE := .cache/oracle.stamp

# The native binaries of Foundry: npm's own wrappers exit 0 when tests fail.
SYSTEM := $(shell uname -s | tr A-Z a-z)
MACHINE := $(patsubst aarch64,arm64,$(patsubst x86_64,amd64,$(shell uname -m)))
foundry = $(CURDIR)/node_modules/@foundry-rs/$(1)-$(SYSTEM)-$(MACHINE)/bin

export PATH := $(call foundry,forge):$(call foundry,anvil):$(call foundry,cast):$(PATH)
export FOUNDRY_SOLC := $(CURDIR)/$(SOLC)
export SOLCX_BINARY_PATH := $(CURDIR)/.solc
export PYTHONHASHSEED ?= 0

# Processes of one thread each: two threads on two busy cores are slower than one.
ORACLE_TEST := OMP_NUM_THREADS=1 $(ORACLE)/pytest
BROWNIE_TEST := $(CONTRACTS)/brownie test -q -W ignore

.PHONY: help setup setup-contracts setup-oracle demo test compile-forge compile-contracts test-oracle test-slow test-unit test-flow test-forge test-contracts check check-oracle check-contracts format bench bench-gas bench-oracle screenshots abis \
        proofs coverage mutation campaign lock clean

help: ## What there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | column -t -s "$$(printf '\t')"

demo: setup ## The whole loop with everybody in it, on a chain of its own; leaves the site up until Ctrl-C
	@OMP_NUM_THREADS=1 $(ORACLE)/python scripts/demo.py

# Compiled once, before anybody tests. Then two at a time: Forge has its own threads, and once it is through, the oracle's
# three processes find a core and a half. All at once is slower, by what they take from each other's caches.
test: setup ## All tests, those of the contracts and those of the oracle
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target compile-forge compile-contracts
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target test-forge test-contracts test-oracle

compile-forge: $(FOR_CONTRACTS)
	forge build --quiet

compile-contracts: $(FOR_CONTRACTS)
	@mkdir -p build/brownie
	$(CONTRACTS)/brownie compile

# Flows wait for servers much of their time; the long files are among them, so that the short ones fill up the end.
test-oracle: $(FOR_CONTRACTS) $(FOR_ORACLE)
	$(ORACLE_TEST) -m "not slow" --numprocesses 3 --dist loadfile --no-loadscope-reorder tests/flow tests/unit

test-slow: setup ## What takes minutes: the demonstration, a whole deployment under faults, training that leaves data out
	$(ORACLE_TEST) -m slow tests/unit tests/flow

test-unit: setup
	$(ORACLE_TEST) -m "not slow" tests/unit

# Real servers on this machine: PostgreSQL (where it is installed), Redis, Anvil.
test-flow: setup
	$(ORACLE_TEST) -m "not slow" tests/flow

test-forge: $(FOR_CONTRACTS)
	forge test --no-match-contract GasTest
	forge test --isolate --match-contract GasTest
	@git diff --exit-code --stat -- snapshots tests/vectors || \
	  { echo "gas or a hash changed: look at the difference in snapshots/ and tests/vectors/, then commit it"; exit 1; }

test-contracts: $(FOR_CONTRACTS)
	$(BROWNIE_TEST)

check: setup ## Format, lint, types, layers, Slither
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target check-oracle check-contracts

check-oracle: $(FOR_ORACLE)
	$(ORACLE)/ruff format --check .
	$(ORACLE)/ruff check .
	$(ORACLE)/mypy
	$(ORACLE)/pytest -q tests/unit/test_layers.py

check-contracts: $(FOR_CONTRACTS)
	forge fmt --check contracts tests/forge tests/halmos
	PATH="$(CURDIR)/$(CONTRACTS):$$PATH" $(CONTRACTS)/python scripts/checks/slither.py

format: setup ## Rewrite Python and Solidity in the house's format
	$(ORACLE)/ruff format .
	$(ORACLE)/ruff check --fix .
	forge fmt contracts tests/forge tests/halmos

bench: bench-gas bench-oracle ## Measure everything that docs/benchmarks holds, and write it anew

bench-gas: $(FOR_CONTRACTS)
	$(CONTRACTS)/python scripts/bench/gas.py --json docs/benchmarks/gas.json --markdown docs/benchmarks/README.md
	$(CONTRACTS)/python scripts/costs.py --write

bench-oracle: setup
	$(ORACLE)/python scripts/bench/indexer.py --json docs/benchmarks/indexer.json
	$(ORACLE)/python scripts/bench/datanets.py --json docs/benchmarks/datanets.json
	OMP_NUM_THREADS=1 $(ORACLE)/python scripts/bench/serving.py --json docs/benchmarks/serving.json
	OMP_NUM_THREADS=1 $(ORACLE)/python scripts/bench/attribution.py --json docs/benchmarks/attribution.json
	OMP_NUM_THREADS=1 $(ORACLE)/python scripts/bench/factory.py --json docs/benchmarks/factory.json
	OMP_NUM_THREADS=1 $(ORACLE)/python scripts/bench/settlement.py --json docs/benchmarks/settlement.json
	$(ORACLE)/python scripts/bench/simulation.py --json docs/benchmarks/simulation.json
	$(ORACLE)/python scripts/bench/api.py --json docs/benchmarks/api.json
	$(ORACLE)/python scripts/bench/retrieval.py --json docs/benchmarks/retrieval.json --markdown docs/retrieval.md
	$(ORACLE)/python scripts/bench/statements.py --json docs/benchmarks/statements.json
	$(ORACLE)/python scripts/plots.py --write

screenshots: setup ## Every page as a picture, in build/pictures
	$(ORACLE)/python scripts/screenshots.py build/pictures

abis: $(FOR_CONTRACTS) ## Write deployments/abi anew, after the contracts changed
	$(CONTRACTS)/brownie run scripts/deploy abis

proofs: setup ## Prove the rules of money by symbolic execution (Halmos)
	ORACLE=$(CURDIR)/$(ORACLE) scripts/halmos.sh

coverage: $(FOR_CONTRACTS) ## Lines and branches that the Forge tests reach
	forge coverage --report summary --no-match-coverage '(tests|baselines|doubles)/'

mutation: $(FOR_CONTRACTS) ## Break the contracts that move money in every small way and count what the tests notice
	$(CONTRACTS)/python scripts/mutate.py --json build/mutation.json

campaign: $(FOR_CONTRACTS) ## Long fuzzing: 100,000 runs, invariants 1024 × 64
	FOUNDRY_PROFILE=campaign forge test --no-match-contract GasTest

# Two environments at a time.
setup: .cache/prerequisites.stamp
	@$(MAKE) --no-print-directory --jobs=2 setup-contracts setup-oracle

setup-contracts: $(FOR_CONTRACTS)
	@:

setup-oracle: $(FOR_ORACLE)
	@:

.cache/prerequisites.stamp: scripts/prerequisites.sh
	@mkdir -p .cache build/brownie
	@PYTHON=$(PYTHON) scripts/prerequisites.sh
	@touch $@

.cache/node.stamp: package-lock.json .cache/prerequisites.stamp
	# Versions and checksums from the lock, which stays untouched. (`npm ci` would insist on an entry for the binaries of
	# every platform, also of those that are not published for it.)
	npm install --no-save --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

.cache/contracts.stamp: requirements/contracts.lock .cache/prerequisites.stamp
	$(PYTHON) -m venv .venv/contracts
	$(CONTRACTS)/python -m pip install --quiet --disable-pip-version-check -r requirements/contracts.lock
	@touch $@

.cache/oracle.stamp: requirements/oracle.lock pyproject.toml .cache/prerequisites.stamp
	$(PYTHON) -m venv .venv/oracle
	$(ORACLE)/python -m pip install --quiet --disable-pip-version-check -r requirements/oracle.lock
	$(ORACLE)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

$(SOLC): .cache/node.stamp .cache/contracts.stamp scripts/solc/install.py scripts/solc/solc.cjs
	$(CONTRACTS)/python scripts/solc/install.py
	@touch $@

lock: ## Resolve the lock files anew (needs uv)
	uv pip compile -q --no-header --no-annotate --python-version 3.11 requirements/contracts.in -o requirements/contracts.lock
	uv pip compile -q --no-header --no-annotate --python-version 3.11 pyproject.toml \
	  --extra api --extra daemon --extra datanets --extra factory --extra models --extra retrieval --extra dev -o requirements/oracle.lock
	sed -i.bak 's/+cpu//' requirements/oracle.lock && rm requirements/oracle.lock.bak
	rm -f package-lock.json
	npm install --package-lock-only --ignore-scripts --no-audit --no-fund --omit-lockfile-registry-resolved

clean: ## Remove what was built, not what was installed
	rm -rf build .cache/forge crytic-export
	mkdir -p build/brownie
