# Everything a newcomer needs: `make demo`, `make test`. Each target sets up what it needs, in .venv.
# Another interpreter: `make test PYTHON=python3.13 VENV=.venv-3.13`.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check -qq
# A Python 3.13 beside the default one, where there is one: on the PATH, or in pyenv without being switched on.
PYTHON313 ?= $(shell for p in python3.13 $${PYENV_ROOT:-$$HOME/.pyenv}/versions/3.13*/bin/python3.13; do \
	$$p -c 'import venv, ensurepip' 2>/dev/null && { echo $$p; break; }; done)
PYTEST_FLAGS ?=
# Files in which flake8-async can find something; it takes its time for each line of the others, too.
ASYNC_IN = $$(grep -rlE --include='*.py' 'async|await|trio|anyio|BaseException|except:|ExceptionGroup|\.exceptions' $(1))
BENCHES ?= codec bundle relay journal pipeline shadow switch load observe nats
FUZZ_RUNS ?= 1000000

# What the command line, messages and configurations stand on: the parts that other versions of what Spore needs have broken.
LOWEST_TESTS ?= $(patsubst %,tests/unit/test_%.py, cli_parts compare_page config control_commands dashboard distribution errors jsonrpc_feed \
	message nodes observe records rewrite tracing) tests/integration/test_cli_check.py

.DEFAULT_GOAL := help
.PHONY: help demo tour test check contract interrupts schedules bench bench-compare measure-into fuzz mutate docs lint types layers test-313 lowest clean

help:  ## Say what there is to make.
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else "Spore needs Python 3.11 or newer, and $(PYTHON) is %d.%d. Name another: make PYTHON=python3.11" % v[:2])'
	@echo "setting up $(VENV) (once; a minute or two)"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install -c constraints.txt --upgrade pip
	@touch $@

$(VENV)/.run: $(VENV)/.python pyproject.toml constraints.txt
	@$(PIP) install -c constraints.txt -e '.[cli,dashboard,live,metrics,nats,report]'
	@touch $@

$(VENV)/.%: $(VENV)/.run
	@$(PIP) install -c constraints.txt --group $*
	@touch $@

demo: $(VENV)/.run  ## Compare both modes on a recorded session: the same signals? and what bundling saves.
	@$(BIN)/spore compare
	@echo "Look at it in a browser, live or afterwards: $(BIN)/spore dashboard"

tour: $(VENV)/.run  ## See the parts at work: the pipeline in both modes, a bundle, messages as frames.
	@$(BIN)/python examples/pipeline_tour.py
	@echo
	@$(BIN)/python examples/bundle_tour.py
	@$(BIN)/python examples/wire_tour.py

test: $(VENV)/.test  ## Run the tests.
	@$(BIN)/python -m pytest -n auto --dist worksteal $(PYTEST_FLAGS)

check: $(VENV)/.check $(VENV)/.test $(VENV)/.bench  ## What CI runs: linters, types, layers, tests with branch coverage, tests on 3.13 and at the lowest versions.
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target lint types layers
	@rm -f .coverage .coverage.*
	@$(MAKE) --no-print-directory test PYTEST_FLAGS="--cov --cov-report="
	@$(BIN)/python -m coverage report --fail-under=95
	@$(BIN)/python -m coverage report --include='*/spore/codec/*,*/spore/message/*' --fail-under=100
	@$(MAKE) --no-print-directory schedules
	@$(MAKE) --no-print-directory test-313
	@$(MAKE) --no-print-directory lowest

schedules: $(VENV)/.test  ## Run ten thousand schedules of faults through the link.
	@SPORE_SCHEDULES=10000 $(BIN)/python -m pytest -n auto --dist worksteal tests/property/test_link_machine.py

contract: $(VENV)/.test  ## Hold a hundred thousand drawn bundles against the contract.
	@SPORE_CONTRACT_RUNS=100000 $(BIN)/python -m pytest -n auto --dist worksteal -o timeout=7200 tests/property/test_contract_machine.py

interrupts: $(VENV)/.test  ## Press Ctrl-C at a thousand drawn moments of a busy bundle.
	@SPORE_INTERRUPTS=1000 $(BIN)/python -m pytest -n auto --dist worksteal -o timeout=7200 tests/contract/test_interrupts.py

lint: $(VENV)/.check
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/flake8 --select=ASYNC1,ASYNC2 $(call ASYNC_IN,src examples)
	@$(BIN)/flake8 --select=ASYNC1,ASYNC2 --extend-ignore=ASYNC113,ASYNC114,ASYNC124 $(call ASYNC_IN,tests bench)  # tasks and handlers that need not wait
	@$(BIN)/deptry src

types: $(VENV)/.check $(VENV)/.test $(VENV)/.bench
	@$(BIN)/mypy
	@$(BIN)/pyright --pythonpath $(BIN)/python

layers: $(VENV)/.check
	@$(BIN)/lint-imports

test-313:
	@if [ -n "$(PYTHON313)" ]; then echo "tests on $$($(PYTHON313) --version)"; \
	SPORE_HYPOTHESIS=light $(MAKE) --no-print-directory test PYTHON="$(PYTHON313)" VENV=.venv-3.13 PYTEST_FLAGS="-m 'not long'"; \
	else echo "no Python 3.13 here: its tests were not run"; fi

.venv-lowest/.test: $(VENV)/.python pyproject.toml tests/lowest.py
	@$(PYTHON) -m venv --clear .venv-lowest
	@$(PYTHON) -m tests.lowest > .venv-lowest/requirements.txt
	@.venv-lowest/bin/python -m pip --disable-pip-version-check -qq install --no-compile -r .venv-lowest/requirements.txt -e . \
		hypothesis pytest pytest-trio pytest-timeout pytest-xdist
	@touch $@

lowest: .venv-lowest/.test  ## Run a part of the tests with the lowest versions that pyproject.toml allows.
	@echo "tests with $$(paste -sd' ' .venv-lowest/requirements.txt)"
	@SPORE_HYPOTHESIS=light .venv-lowest/bin/python -m pytest -n auto --dist worksteal -m 'not long' $(LOWEST_TESTS)

bench: $(VENV)/.bench  ## Measure, and keep the figures in bench/results as the baseline.
	@$(MAKE) --no-print-directory measure-into RESULTS=bench/results

bench-compare: $(VENV)/.bench  ## Measure again, and say what has changed since `make bench`.
	@[ -n "$$(ls bench/results/*.json 2>/dev/null)" ] || { echo "there is nothing in bench/results to compare with; run make bench first"; exit 2; }
	@$(MAKE) --no-print-directory measure-into RESULTS=bench/results/latest
	@$(BIN)/python -m bench.against bench/results bench/results/latest

measure-into:
	@mkdir -p $(RESULTS)
	@for bench in $(BENCHES); do $(BIN)/python -m bench.$$bench --json $(RESULTS)/$$bench.json || exit; done

fuzz: $(VENV)/.fuzz  ## Feed the decoder a million inputs, guided by coverage.
	@$(BIN)/python -m tests.fuzz.decoder -runs=$(FUZZ_RUNS)

mutate: $(VENV)/.test $(VENV)/.mutate  ## Break the codec in every small way and see whether a test notices.
	@SPORE_HYPOTHESIS=light $(BIN)/mutmut run; $(BIN)/mutmut results

docs: $(VENV)/.run  ## Bring the generated parts of the documentation up to date.
	@sed -i '/<!-- catalogue -->/q' docs/reference/wire.md
	@$(BIN)/spore schema --markdown >> docs/reference/wire.md

clean:  ## Remove what the other targets made.
	@rm -rf .venv .venv-3.13 .venv-lowest .coverage* .pytest_cache .mypy_cache .ruff_cache .hypothesis mutants bench/results screenshots
