# mxft: `make help` lists the targets. Everything installs itself into .venv from what setup.py declares.

PYTHON ?= python3
VENV ?= .venv
# cpu or cu112: what .venv has, or else what suits the machine's driver and cards
ifndef DEVICE
DEVICE := $(or $(patsubst $(VENV)/.ready-%,%,$(firstword $(wildcard $(VENV)/.ready-*))),$(shell $(PYTHON) \
  .ci/wheel_of_machine.py),cpu)
endif
# make setup, make test: EXTRAS=dev,torch brings PyTorch and runs its tests too
EXTRAS ?= dev
OTHER_BUILD := $(if $(filter cpu,$(DEVICE)),mxnet-cu112,mxnet)
export OMP_NUM_THREADS ?= $(shell nproc 2>/dev/null || echo 2)

# make demo-faces
FACES ?=
# make caltech256
CALTECH256 ?=
MODEL ?= resnet-50
PER_CLASS ?= 60
EPOCHS ?= 8
BATCH ?= 128
LR ?= 0.01
PLAN ?= full
GPUS ?=
SEED ?= 0
ENGINE ?= auto
# make torture
COUNT ?= 2000
# make reproduce, make torture
ONLY ?=
# make bench
NETS ?=
# further flags of recipes/caltech256.py, such as ARGS="--mom 0 --image-shape 3,128,128"
ARGS ?=

PY := $(VENV)/bin/python
READY := $(VENV)/.ready-$(DEVICE)
COMMA := ,
WITH := $(VENV)/.with-$(subst $(COMMA),-,$(EXTRAS))

.PHONY: help setup demo demo-faces caltech256 reproduce doctor test test-long torture lint docs bench clean

help:  ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(READY)  ## make .venv and install mxft with mxnet into it (PYTHON=python3.12, DEVICE=cpu|cu112)

# mxnet comes last and alone: its metadata asks for numpy<2, which newer Pythons cannot install and mxft does not need.
# Its two builds share a folder: the other one goes first.
$(READY): setup.py $(WITH)
	@rm -f $(VENV)/.ready-*
	@$(PY) -m pip uninstall -qq --yes --disable-pip-version-check $(OTHER_BUILD)
	$(PY) -m pip install --quiet --disable-pip-version-check -e '.[$(EXTRAS)]'
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps $$($(PY) .ci/requirements_of.py $(DEVICE))
	@touch $@

# which extras .venv has: others mean another set-up
$(WITH):
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@rm -f $(VENV)/.with-*
	@touch $@

demo: $(READY)  ## fine-tune digits 0-4 to 5-9: what transfer is worth; no data needed, about a minute
	$(PY) recipes/digits.py

demo-faces: $(READY)  ## photographs of people to their names (FACES=tar|folder of aligned faces MODEL=prefix,epoch ARGS)
	$(PY) recipes/faces_from_photographs.py $(if $(FACES),--faces "$(FACES)") \
	  $(if $(filter command line environment,$(origin MODEL)),--model "$(MODEL)") $(ARGS)

caltech256: export MXFT_TYPED := make caltech256
caltech256: $(READY)  ## the tutorial (CALTECH256=folder|tar|URL MODEL=prefix,epoch PER_CLASS EPOCHS BATCH LR PLAN GPUS SEED ENGINE ARGS)
	$(PY) recipes/caltech256.py --caltech256 "$(CALTECH256)" --model "$(MODEL)" --per-class $(PER_CLASS) \
	  --epochs $(EPOCHS) --batch-size $(BATCH) --lr $(LR) --plan $(PLAN) --gpus "$(GPUS)" --seed $(SEED) --engine $(ENGINE) $(ARGS)

reproduce: $(READY)  ## published numbers beside measured ones, of what is at hand (ONLY=id,id ARGS="--have NAME=PATH --download")
	$(PY) recipes/reproduce.py --only "$(ONLY)" $(ARGS)

doctor: $(READY)  ## what is wrong with this machine, and the fix
	$(PY) -m mxft doctor

test: $(READY)  ## run the tests, under six minutes on two cores
	OMP_NUM_THREADS=1 $(PY) -m pytest -m "not long and not torture" -n auto --maxprocesses 4 --dist loadfile

torture: $(READY)  ## COUNT inputs made to do harm, COUNT damaged ones, by SEED (ONLY=.rec; failures in runs/torture)
	SEED=$(SEED) COUNT=$(COUNT) ONLY="$(ONLY)" OMP_NUM_THREADS=1 $(PY) -m pytest -m torture tests/torture

test-long: $(READY)  ## run the tests that take minutes each
	$(PY) -m pytest -m long

lint: $(READY)  ## ruff over everything, that no import points up (pyproject.toml says what stands where), mypy
	$(PY) -m ruff check .
	$(VENV)/bin/lint-imports --no-logo
	$(PY) -m mypy

docs: $(READY)  ## write recipes/python.md, the page of the Python API, from the docstrings
	$(PY) .ci/api_page.py

bench: $(READY)  ## ratios, each pair measured in turn in one run (NETS="NET;NET": inference of these alone)
	$(if $(NETS),NETS="$(NETS)" )$(PY) tests/bench/bench.py $(if $(NETS),inference)

clean:  ## remove the virtual environment and caches (runs/ and data-cache/ stay)
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
