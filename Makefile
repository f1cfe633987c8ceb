# Needs git, make and python3 (3.11 to 3.13, with venv and pip); everything else is installed
# into .venv here. Another interpreter: make test PYTHON=python3.13 VENV=.venv313

PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
TESTS  ?= tests
KILLS  ?= 200

# uv is quick; where it cannot reach the package index (a proxy, odd certificates), pip does the same.
PIP     = $(BIN)/python -m pip install --quiet --disable-pip-version-check
UV      = VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/uv pip install --quiet --system-certs

# Without its cache every start of Python compiles all that it imports, which takes as long again;
# the tests start it hundreds of times.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: dev test check format docs lock bench chaos clean help
.DEFAULT_GOAL := help

help:
	@echo "make dev     set everything up; start the web UI, the schedules and the simulated cloud"
	@echo "make test    set everything up; run the tests"
	@echo "make check   set everything up; run the linters, the type checker and the import rules"
	@echo "make format  format the code and fix what can be fixed by itself"
	@echo "make docs    write the pages about node types, docs/nodes, anew"
	@echo "make bench   measure speed and memory beside plain Dagster"
	@echo "make chaos   kill runs at 200 random moments and compare the cloud (KILLS=20 SEED=7)"
	@echo "make lock    resolve the dependencies anew and write requirements.lock"

$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 11) <= v <= (3, 13) or \
	  sys.exit("CloudFlow needs Python 3.11 to 3.13; $(PYTHON) is %d.%d. Name another: make PYTHON=python3.12" % v)'
	@echo "Setting up $(VENV) (once; takes a minute or two) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) "uv==$$(sed -n 's/^uv==\([^ ;]*\).*/\1/p' requirements.lock)"
	@$(UV) --require-hashes -r requirements.lock || $(PIP) --require-hashes -r requirements.lock
	@$(UV) --no-deps -e . || $(PIP) --no-deps -e .
	@touch $@

dev: $(VENV)/.installed
	@exec $(BIN)/cloudflow dev

test: $(VENV)/.installed
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile $(TESTS)

check: $(VENV)/.installed
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports
	$(BIN)/cloudflow check

format: $(VENV)/.installed
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/cloudflow fmt

docs: $(VENV)/.installed
	CLOUDFLOW_CACHE=$(VENV)/cache-of-docs $(BIN)/cloudflow nodes docs docs/nodes

lock: $(VENV)/.installed
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --generate-hashes --upgrade \
	  --no-emit-index-url --no-annotate --no-header --quiet -o requirements.lock

bench: $(VENV)/.installed
	$(BIN)/python -m benchmarks

chaos: $(VENV)/.installed
	$(BIN)/python -m tests.chaos --kills $(KILLS) $(if $(SEED),--seed $(SEED))

clean:
	rm -rf $(VENV) .venv313 .cloudflow build dist
