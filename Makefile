# Every target sets up what it needs. Only Python 3.11+, pip, make and git are taken for granted.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
UV     ?= uv
CARDS ?= 20000

.DEFAULT_GOAL := help
.PHONY: help demo test programs search soak soak-audit ha upgrade restore bench rotation check fmt lint type arch serve dev sbom lock clean

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(STAMP): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Cardvault needs Python 3.11 or newer: make PYTHON=python3.11 ...") if sys.version_info < (3, 11) else None'
	@echo 'Installing Cardvault, its locked requirements and a PostgreSQL into $(VENV), once; this takes a minute or two.'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(STAMP) ## Run the story end to end on an embedded PostgreSQL and the sandbox gateway
	$(BIN)/cardvault demo $(ARGS)

dev: $(STAMP) ## Start the playground: database, sandbox, server, worker, one merchant, one API key
	$(BIN)/cardvault dev --state playground.json $(ARGS)

serve: $(STAMP) ## Start the API server (settings from CARDVAULT_*)
	$(BIN)/cardvault serve $(ARGS)

test: $(STAMP) programs ## Run all tests with 100 % branch coverage of keys/ and vault/
	NOT_MEASURED=$$(command -v softhsm2-util >/dev/null || echo keys/seals/pkcs11.py) \
	$(BIN)/python -m pytest -n 3 --dist worksteal --cov --cov-report=term $(ARGS)

# A PKCS#11 token in software, and a pooler; where one can neither be found nor installed, its tests are left out.
programs:
	@PATH=$$PATH:/usr/sbin; \
	{ command -v softhsm2-util && command -v pgbouncer; } >/dev/null \
	|| { test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
	     && apt-get update -qq && apt-get install -y -qq --no-install-recommends softhsm2 pgbouncer >/dev/null; } \
	|| echo 'SoftHSM2 or PgBouncer is not installed and not tested with (Debian: apt-get install softhsm2 pgbouncer)'

search: $(STAMP) ## Search for sequences that break payments, killing processes meanwhile (MINUTES=10)
	SOAK_MINUTES=$(or $(MINUTES),10) $(BIN)/python -m pytest -q -n 0 $(ARGS) tests/faults/search.py

soak: $(STAMP) ## Half of what the machine can do, with a fault each minute (MINUTES=30)
	$(BIN)/python -m tests.endurance.soak --minutes $(or $(MINUTES),30)

soak-audit: $(STAMP) ## Kill and stop sequencers and their server, and look for what the audit log lost (SECONDS=60)
	$(BIN)/python -m tests.endurance.audit $(SECONDS)

ha: $(STAMP) ## Payments while the database's leader changes, dies, hangs (Patroni, etcd), five minutes
	$(BIN)/python -m tests.endurance.ha $(ARGS)

upgrade: $(STAMP) ## From the version before to this one and back, under load, two minutes (BEFORE=ref)
	$(BIN)/python -m tests.endurance.upgrade $(addprefix --before ,$(BEFORE))

restore: $(STAMP) ## Go back to an earlier moment, by the runbook, while buyers pay; two minutes
	$(BIN)/python -m tests.endurance.restore

bench: $(STAMP) ## Measure requests, audit log and re-encryption beside their limits, half an hour (ARGS=--quick: requests, a minute)
	$(BIN)/python -m ops.bench $(ARGS)
	$(if $(ARGS),,$(BIN)/python -m ops.bench.audit_overhead)
	$(if $(ARGS),,$(BIN)/python -m ops.bench.audit)
	$(if $(ARGS),,$(BIN)/python -m ops.bench.rotation --cards $(CARDS))

rotation: $(STAMP) ## Re-encrypt while payments run and workers are killed, open every card (CARDS=20000)
	$(BIN)/python -m ops.bench.rotation --cards $(CARDS) $(ARGS)

check: $(STAMP) ## Format, lint, types and architecture, side by side
	@$(MAKE) --no-print-directory --jobs 3 --output-sync lint type arch

fmt: $(STAMP) ## Rewrite the sources in the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(STAMP) ## Format check, ruff, Dockerfile
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/hadolint Dockerfile

type: $(STAMP) ## mypy --strict
	$(BIN)/mypy

arch: $(STAMP) ## Layers and house rules
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q -p no:randomly tests/architecture

sbom: $(STAMP) ## Write sbom.json: what a release is made of (CycloneDX)
	$(BIN)/python -m ops.sbom requirements.lock > sbom.json

lock: ## Recompile the lock files (needs uv)
	$(UV) pip compile --quiet --generate-hashes --universal --python-version 3.11 --no-header --no-annotate --no-emit-index-url --no-emit-find-links --extra awskms --extra pkcs11 pyproject.toml -o requirements.lock
	$(UV) pip compile --quiet --generate-hashes --universal --python-version 3.11 --no-header --no-annotate --no-emit-index-url --no-emit-find-links --extra awskms --extra pkcs11 --extra embedded --extra otel --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock

clean: ## Remove the virtual environment and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage* *.egg-info
