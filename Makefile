# Every command sets itself up in .venv first; the second time that takes a moment.
#   make run PROFILE=quick     (the default on a machine without a GPU)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run render badges train test test-slow lab compare hatchery bench

PROFILE ?=
SOURCE ?=
RECIPE ?=
DEVICES ?=
PYTHON ?=
# `value`, and not what make would make of a dollar in the name of a folder.
ifneq ($(value PROFILE),)
export POKEUTILS_PROFILE := $(value PROFILE)
endif
ifneq ($(value SOURCE),)
export POKEUTILS_SOURCE := $(value SOURCE)
endif
ifneq ($(value RECIPE),)
export POKEUTILS_RECIPE := $(value RECIPE)
endif
ifneq ($(value DEVICES),)
export POKEUTILS_DEVICES := $(value DEVICES)
endif
# These count on the command line only: a shell may have a RUN of its own.
$(foreach name,MINUTES ONLY PARAMS RUN SEED START IMAGES SEEDS REPO,\
	$(if $(filter environment,$(origin $(name))),$(eval $(name) :=)))
# $(call given,NAME) is the value of NAME as one word for the shell, whatever is in it;
# $(call option,--name,NAME) is nothing where NAME has none.
given = '$(subst ','\'',$(value $(1)))'
option = $(if $(value $(2)),$(1) $(call given,$(2)))

# Modules that another program put on these paths would come before ours.
unexport PYTHONPATH PYTHONHOME

# TensorFlow fast and quiet, as pokeutils.common.device.settle() makes it in notebooks.
export TF_ENABLE_ONEDNN_OPTS ?= 1
export TF_CPP_MIN_LOG_LEVEL ?= 3

# The Python of .venv, or the first one found that can make a .venv.
CANDIDATES = .venv/bin/python $(if $(value PYTHON),$(call given,PYTHON),python3.12 python3.13 python3.11 python3)
SUITABLE = import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))

define set_up
@for python in $(CANDIDATES); do \
	if "$$python" -c '$(SUITABLE)' 2>/dev/null; then exec "$$python" tools/set_up.py $(firstword $(subst -, ,$@)); fi; \
done; \
echo 'No suitable Python: this needs Python 3.11, 3.12 or 3.13 with its venv module' \
	'(Debian, Ubuntu: apt install python3 python3-venv); name it with' \
	'make $@ PYTHON=/path/to/python.' >&2; exit 1
endef

help:
	@echo 'make run         get the pictures, train, evaluate; ends in outputs/latest/index.html'
	@echo 'make train       train RECIPE on SOURCE for MINUTES; again: go on where it stopped'
	@echo 'make test        lint and tests'
	@echo 'make test-slow   the tests that take minutes: many more kills, real networks'
	@echo 'make render      execute the notebooks and save them as the repository shows them'
	@echo 'make badges      links that open the notebooks on Colab and Kaggle (of REPO=owner/name)'
	@echo 'make lab         open the notebooks in JupyterLab'
	@echo 'make hatchery    the generator as a web page: outputs/hatchery/index.html'
	@echo 'make compare     train all recipes for notebook 7 (hours); goes on if stopped'
	@echo 'make bench       speed beside PyTorch and keras.io (half an hour, 2 GB more)'
	@echo
	@echo 'PROFILE=quick    tiny (a test), quick (2 CPU cores, 7 minutes) or full (a GPU)'
	@echo 'SOURCE=artwork   artwork, sprites, tuxemon, doodles (no network) or folder:/my/pictures'
	@echo 'RECIPE=sprites64 what notebook 4 and train make: a recipe by name'
	@echo 'DEVICES=all      train on all GPUs of this machine instead of one'
	@echo 'PARAMS=FILE      make again the run of that params.json, or of a generator'"'"'s card'
	@echo 'MINUTES=60       how long train and compare go on; they can be called again'
	@echo 'RUN=new SEED=1   of train: start a new run, with other random numbers'
	@echo 'START=flagship   of train: go on from that generator, with pictures of your own'
	@echo 'RUN=007-modern64 the run that train goes on with, or that hatchery shows'
	@echo 'ONLY=05_animate  what render makes'
	@echo 'IMAGES= SEEDS=   of compare: how long each recipe is trained, and how often'
	@echo 'PYTHON=...       the Python to make .venv with, 3.11 to 3.13'

run:
	$(set_up)
	@.venv/bin/python notebooks/run.py

render:
	$(set_up)
	@.venv/bin/python tools/render.py $(if $(ONLY),--only $(ONLY))

badges:
	$(set_up)
	@.venv/bin/python tools/badges.py $(if $(value REPO),$(call given,REPO))

train:
	$(set_up)
	@.venv/bin/python tools/train.py $(call option,--minutes,MINUTES) \
		$(call option,--params,PARAMS) $(call option,--run,RUN) \
		$(call option,--seed,SEED) $(call option,--start,START)

test:
	$(set_up)
	@.venv/bin/python -m ruff check --quiet .
	@.venv/bin/python -m ruff format --quiet --check . || \
		{ echo 'Layout differs: run .venv/bin/python -m ruff format .' >&2; exit 1; }
	@.venv/bin/lint-imports --no-logo --no-cache
	@.venv/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-slow:
	$(set_up)
	@.venv/bin/python -m pytest -m slow -rP

lab:
	$(set_up)
	@.venv/bin/python -m jupyter lab notebooks

hatchery:
	$(set_up)
	@.venv/bin/python tools/hatchery.py $(call option,--run,RUN)

compare:
	$(set_up)
	@.venv/bin/python tools/compare.py $(call option,--images,IMAGES) \
		$(call option,--seeds,SEEDS) $(call option,--minutes,MINUTES)

bench:
	$(set_up)
	@benchmarks/.venv/bin/python -m benchmarks
