# `make setup`, `make demo`, `make test`, `make check`, `make bench`: see README.md.
# Each step leaves a stamp, so that a warm run goes straight to its point.

SHELL := /bin/sh
.DELETE_ON_ERROR:
.NOTPARALLEL:

VENV ?= .venv
PYTHON = $(VENV)/bin/python
TRAIN = .venv-train
CODE = shared proxy_addon workers console tests $(wildcard benchmarks)
SETUP = pyproject.toml requirements/build.txt deploy/setup/install.sh
PYTEST = $(PYTHON) -m pytest

.PHONY: setup setup-dev setup-train demo test test-unit test-versions test-train soak check format bench servers lock clean

setup: $(VENV)/.installed-cpu

setup-dev: $(VENV)/.installed-dev

setup-train: $(TRAIN)/.installed-train

# The development lock contains the production one, so where it is installed nothing is missing.
$(VENV)/.installed-cpu: $(SETUP) requirements/cpu.txt
	@if [ -e $(VENV)/.installed-dev ]; then $(MAKE) --no-print-directory setup-dev && touch $@; \
	else sh deploy/setup/install.sh $(VENV) requirements/cpu.txt $(PY); fi

$(VENV)/.installed-dev: $(SETUP) requirements/dev.txt
	@sh deploy/setup/install.sh $(VENV) requirements/dev.txt $(PY)

$(TRAIN)/.installed-train: $(SETUP) requirements/train.txt
	@sh deploy/setup/install.sh $(TRAIN) requirements/train.txt

# KEEP=1 leaves it running; SEED=7 draws other images.
demo: setup
	@$(PYTHON) -m console.demo $(if $(SEED),--seed $(SEED)) $(if $(filter-out 0,$(KEEP)),--keep)

servers: deploy/kafka/libs/.installed deploy/tus/node_modules/.installed
	@sh deploy/redis/install.sh
	@sh deploy/browser/install.sh
	@sh deploy/curl/install.sh

deploy/kafka/libs/.installed: deploy/kafka/pom.xml deploy/kafka/install.sh
	@sh deploy/kafka/install.sh

deploy/tus/node_modules/.installed: deploy/tus/package-lock.json deploy/tus/install.sh
	@sh deploy/tus/install.sh

test: setup-dev servers
	@sh deploy/setup/run-tests.sh $(PYTHON) $(ARGS)

# No server and no process: what is run while writing.
test-unit: setup-dev
	$(PYTEST) tests/unit tests/property tests/contracts -m "not kafka and not redis and not e2e" \
	    $$(sh deploy/setup/processes.sh) $(ARGS)

test-versions: setup-dev
	@sh deploy/setup/test-versions.sh $(PYTHON)

test-train: setup-train
	$(TRAIN)/bin/python -m pytest -m train tests $(ARGS)

# 100 requests a second (SOAK_RATE) while every part is killed twice, then 10,000 uploads: eight minutes of the machine.
soak: setup-dev servers
	$(PYTEST) -m soak -s tests/e2e $(ARGS)

check: setup-dev
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy $(CODE)
	$(VENV)/bin/lint-imports --no-logo

format: setup-dev
	$(PYTHON) -m ruff format .
	$(PYTHON) -m ruff check --fix .

bench: setup-dev
	@$(PYTHON) -m benchmarks $(ARGS)

lock:
	@sh deploy/setup/lock.sh $(ARGS)

clean:
	rm -rf .venv .venv-* *.egg-info build dist deploy/kafka/libs deploy/kafka/*.jsa deploy/tus/node_modules
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find shared proxy_addon workers console tests -name __pycache__ -prune -exec rm -rf {} +
