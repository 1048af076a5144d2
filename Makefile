# Everything a person does here, by name: `make` alone lists it. Needs Python 3.11-3.14 and make; the rest is fetched once.
# Stamp files remember what is done, so that a second `make run` touches no network.

UV_VERSION := 0.13.9
PYTHONS := $(if $(PYTHON),"$(PYTHON)",python3.13 python3.12 python3.11 python3 python)
BIN := .venv/bin
INSTALLED := .venv/.installed
ASSETS := $(if $(wildcard package.json),node_modules/.installed)
BENCHES := demonstration roads streams world demand planner rounds routes solver solver_edits web sip2 alerts twin
RUFF_PATHS := rotation streams solver city config infra tests setup.py $(wildcard bench)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

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

.PHONY: docs
docs: $(INSTALLED) ## Write the reference of settings and commands, and build the documentation into build/site
	$(BIN)/python -m rotation.cli.reference
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

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

.PHONY: chaos-mutations
chaos-mutations: setup ## Prove that chaos cannot pass by luck: each known error, put into a copy of the code, must fail its fault (ARGS="gaps": one of them)
	@exec $(BIN)/python -m tests.chaos.mutations $(ARGS)

.PHONY: attack
attack: setup ## Start everything in a folder of its own and try to get in or bring it down (this machine alone, bounded)
	@exec $(BIN)/python -m tests.attack

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
	rm -rf .venv node_modules rotation/web/assets var build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
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
		if "$$python" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null; then \
			"$$python" infra/preflight.py && exec "$$python" -m venv --clear .venv; exit; fi; done; \
	echo "No Python 3.11 to 3.14 with venv found: install one (Debian: apt-get install python3-venv) or name it:" \
		"make PYTHON=/path/to/python3.12 setup / 未找到带 venv 的 Python 3.11 至 3.14"; exit 1

node_modules/.installed: package.json package-lock.json $(INSTALLED)
	@PATH="$$PATH:$(CURDIR)/$(BIN)" npm ci --ignore-scripts --no-audit --no-fund
	@rm -rf rotation/web/assets
	@touch $@

.PHONY: wheel
wheel: setup ## Build source distribution and wheel into dist/ (from any clone without make: `uv build` or `pip wheel .`)
	@rm -rf dist build rotation.egg-info
	$(BIN)/uv build --quiet
