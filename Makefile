# Everything a person does here, by name: `make` alone lists it. Needs Python 3.11-3.13 and make; the rest is fetched once.
# Stamp files remember what is done, so that a second `make run` touches no network.

UV_VERSION := 0.13.9
PYTHONS := $(PYTHON) python3 python3.13 python3.12 python3.11 python
BIN := .venv/bin
INSTALLED := .venv/.installed
ASSETS := $(if $(wildcard package.json),node_modules/.installed)
BENCHES := demonstration streams world demand planner rounds routes solver solver_edits web sip2 twin
RUFF_PATHS := rotation streams solver city config infra tests $(wildcard bench)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(INSTALLED) $(ASSETS) ## Install everything that run and test need (once; network)

.PHONY: run
run: setup ## Start all of it with the demonstration city; Ctrl-C stops it (ARGS="--for 60" and the like)
	@exec $(BIN)/rotation run $(ARGS)

.PHONY: test
test: setup lint ## Check the code and run every test (ARGS="-k name" and the like)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

.PHONY: lint
lint: $(INSTALLED) ## Check style, types and the direction of imports
	$(BIN)/ruff check $(RUFF_PATHS)
	$(BIN)/ruff format --check $(RUFF_PATHS)
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

.PHONY: audit
audit: $(INSTALLED) ## Ask for known weaknesses of the locked dependencies (network)
	$(BIN)/pip-audit --requirement requirements.lock --disable-pip --require-hashes --strict

.PHONY: bench
bench: setup ## Run every benchmark, one JSON line a figure (make bench-NAME: one of them)
	@for name in $(BENCHES); do $(BIN)/python -m bench.$$name || exit 1; done

bench-%: setup
	@exec $(BIN)/python -m bench.$* $(ARGS)

.PHONY: chaos
chaos: setup ## Streams under every fault: three brokers, three workers (CHAOS_EVENTS=1000000: the long form)
	@exec $(BIN)/python -m pytest -q -s tests/chaos/faults.py $(ARGS)

.PHONY: twin
twin: setup ## Compare every policy on the twin city, 10 seeds (ARGS="--small": three minutes), and write docs/twin.md
	@exec $(BIN)/python -m bench.twin $(ARGS)

.PHONY: assets
assets: $(ASSETS) ## Fetch the page's assets (npm of the machine or of the environment)

.PHONY: lock
lock: $(INSTALLED) ## Choose the dependencies' versions anew (requirements.lock; network)
	$(BIN)/uv pip compile --universal --python-version 3.11 --group pyproject.toml:dev pyproject.toml \
		--generate-hashes --no-emit-index-url --no-header --quiet --upgrade --output-file requirements.lock

.PHONY: clean
clean: ## Remove everything made here: environment, assets, caches, kept state (stop it first)
	rm -rf .venv node_modules var build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

$(INSTALLED): requirements.lock pyproject.toml infra/kafka-jars.txt
	@$(BIN)/python -c '' 2>/dev/null || { $(MAKE) --no-print-directory environment; }
	@test -x $(BIN)/uv && $(BIN)/uv --version | grep -qF ' $(UV_VERSION)' || $(BIN)/python -m pip install --quiet uv==$(UV_VERSION)
	$(BIN)/uv pip install --python $(BIN)/python --compile-bytecode --require-hashes --requirement requirements.lock
	$(BIN)/uv pip install --python $(BIN)/python --quiet --no-deps --no-build-isolation --config-setting editable_mode=compat --editable .
	$(BIN)/python -m compileall -q rotation streams solver city config infra
	$(BIN)/python -m infra.kafka
	$(BIN)/python -m city warm
	$(BIN)/python -m rotation.rebalancing
	$(BIN)/python -m solver warm
	@touch $@

.PHONY: environment
environment:
	@for python in $(PYTHONS); do \
		if $$python -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then \
			echo "Python: $$($$python --version), $$(command -v $$python)"; exec $$python -m venv --clear .venv; fi; done; \
	echo "No Python 3.11, 3.12 or 3.13 with venv found: install one (Debian: apt-get install python3-venv) or name it:" \
		"make PYTHON=/path/to/python3.12 setup"; exit 1

node_modules/.installed: package.json package-lock.json $(INSTALLED)
	@npm=$$(command -v npm || echo $(CURDIR)/$(BIN)/npm); PATH="$$PATH:$(CURDIR)/$(BIN)" $$npm ci --ignore-scripts --no-audit --no-fund
	@touch $@
