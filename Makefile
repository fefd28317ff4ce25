# Everything sets itself up: a virtual environment in .venv, from the hashed pins in requirements/.
# Only Python 3.11 or newer and make are needed.

PYTHON ?= python3
VENV := .venv
# Processes that tests are spread over, a file of them to each; tests/conftest.py says in what order.
# One more than two cores have, since tests wait for the processes that they start.
JOBS ?= 3
# Of kills, damaged bodies and mutants at length; another seed tests others.
SEED ?= 1
MUTANTS ?= 200
ENDURANCE ?= .ketamine-response/endurance
BIN := $(VENV)/bin
UV := $(BIN)/uv
ADD := $(UV) pip install --quiet --python $(BIN)/python
RUNTIME := $(VENV)/.runtime
DEVELOPMENT := $(VENV)/.development
PROJECT := $(VENV)/.project
# The generator of OpenAPI clients for one test, in an environment of its own: it needs an older typer.
GENERATOR := $(VENV)/openapi-client

.DEFAULT_GOAL := help
.PHONY: help demo test endurance check fix serve ui lock clean browser postgresql wrk

help:  ## Show what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(UV): requirements/bootstrap.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || (echo "Python 3.11 or newer is needed: make PYTHON=…" >&2; exit 1)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
	@touch $(UV)

$(RUNTIME): $(UV) requirements/runtime.txt
	$(ADD) --require-hashes -r requirements/runtime.txt
	@touch $@

$(DEVELOPMENT): $(UV) requirements/development.txt
	$(ADD) --require-hashes -r requirements/development.txt
	@touch $@ $(RUNTIME)

$(PROJECT): $(DEVELOPMENT) pyproject.toml
	$(ADD) --no-deps --no-build-isolation --editable .
	@touch $@

$(GENERATOR): $(UV) requirements/openapi-client.txt
	$(UV) venv --quiet --clear --python $(BIN)/python $@
	$(UV) pip install --quiet --python $@/bin/python --require-hashes -r requirements/openapi-client.txt
	@touch $@

demo: $(RUNTIME)  ## Show the whole path on simulated patients
	$(BIN)/python -m experiments demo

serve: $(RUNTIME)  ## Serve the champions at http://127.0.0.1:3000
	$(BIN)/python -m serving serve

ui: $(RUNTIME)  ## Look at runs, figures and models in MLflow at http://127.0.0.1:5000
	$(BIN)/python -m training ui

test: $(PROJECT) $(GENERATOR) browser postgresql wrk  ## Run all tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --by-file \
	  --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder --quiet

# Both parts note what is done in $(ENDURANCE) and go on from there; remove it to begin again.
endurance: $(PROJECT)  ## Kill, load, damage and mutate at length, for hours; resumes where it was stopped
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --by-file --quiet --seed $(SEED) --endurance $(ENDURANCE) \
	  tests/test_kills.py tests/serving/http/test_fuzz.py tests/serving/test_soak.py \
	  tests/features/sources/test_row_accounting.py tests/features/intake/test_accounts.py \
	  tests/features/intake/test_mangled_exports.py tests/features/intake/test_large_exports.py
	OMP_NUM_THREADS=1 $(BIN)/python tests/endurance/mutants.py \
	  --count $(MUTANTS) --seed $(SEED) --jobs $(JOBS) --out $(ENDURANCE)

check: $(PROJECT)  ## Lint, types, layers, docs in step with the code
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m experiments reference --check

fix: $(PROJECT)  ## Format, mend what can be mended, rewrite the reference pages
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/python -m experiments reference

# Chromium for the page's tests; without it, and without the right to install it, they are skipped.
browser:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || \
	{ [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	  apt-get update -qq && apt-get install -y -qq chromium >/dev/null; } || \
	echo "No Chromium, and no right to install it: the page's tests will be skipped." >&2

# PostgreSQL's programs for the service store's tests, which start a server of their own; likewise.
postgresql:
	@command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || \
	{ [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	  apt-get update -qq && apt-get install -y -qq --no-install-recommends postgresql >/dev/null; } || \
	echo "No PostgreSQL, and no right to install it: the store is tested on SQLite alone." >&2

# The load generator of the serving benchmark; likewise.
wrk:
	@command -v wrk >/dev/null || \
	{ [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	  apt-get update -qq && apt-get install -y -qq wrk >/dev/null; } || \
	echo "No wrk, and no right to install it: the load tests will be skipped." >&2

lock: $(UV)  ## Renew the pins in requirements/
	requirements/lock.sh $(UV)

clean:  ## Remove the environment and every cache; data and runs stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
