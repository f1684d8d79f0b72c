# Two commands on a fresh machine with Python 3.11 and make:
#   make demo    sets up and searches real photos        (PHOTOS=dir for your own)
#   make test    sets up and runs the whole test suite
# `make help` lists the rest.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
JUDGED ?= ../shared/data/flickr8k
CLASS_NAMES ?= $(JUDGED)/../imagenet_classes.tsv
ELSEWHERE ?= $(JUDGED)/../elsewhere
INDEX ?= indexes/demo
QUERIES ?= data/demo-queries.txt
REPORT ?= build/ranker.html
BROWSER ?= unshare -rn chromium --headless=new --no-sandbox --disable-gpu --hide-scrollbars --enable-logging=stderr

.PHONY: help setup demo test lint docs seed-project default-ranker shipped-ranker ablation soak figures report look bench clean

help:
	@sed -n 's/^## //p' Makefile

## make setup            a virtual environment in .venv with photoseek and everything it needs
setup: $(VENV)/installed

$(VENV)/installed: setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "photoseek needs Python 3.11 or newer; name one: make PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (about 6.5 GB with PyTorch's CUDA build; README.md has the small way)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

## make demo             index real photos, ask four queries, write a contact sheet
demo: setup
	@$(BIN)/python -m experiments.demo --index $(INDEX) --queries $(QUERIES) $(if $(PHOTOS),--photos '$(PHOTOS)')

## make test             the whole test suite
test: setup
	$(BIN)/python -m pytest

## make lint             lint, format, types, which room imports which, and whether docs/cli.md is up to date
lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache
	@$(BIN)/python -m photoseek.commands.reference | diff docs/cli.md - || { echo "docs/cli.md is out of date: make docs"; exit 1; }

## make docs             write docs/cli.md from the help of the commands
docs: setup
	@mkdir -p build
	$(BIN)/python -m photoseek.commands.reference > build/cli.md
	mv build/cli.md docs/cli.md

## make default-ranker   train both shipped rankers again (JUDGED=folder with train_224; some 25 minutes, resumable)
default-ranker: setup
	@$(MAKE) --no-print-directory shipped-ranker ENCODER=efficientnet-lite FOLDER=default
	@$(MAKE) --no-print-directory shipped-ranker ENCODER=efficientnet-lite2 FOLDER=default-fast

# Captions of the train photos of four sets teach the space and the ranking; judgments of other photos the relevance.
shipped-ranker:
	$(BIN)/photoseek train $(JUDGED):train_224 $(ELSEWHERE)/coco $(ELSEWHERE)/scenes $(ELSEWHERE)/web \
		$(ELSEWHERE)/captions_only/flickr30k.tsv --relevance $(JUDGED):train_images --leave-out-lookalikes \
		--image-encoder $(ENCODER) --class-names $(CLASS_NAMES) -o reranker/$(FOLDER)

## make soak             damage, kill, cut the power, fuzz: what an index survives (PHOTOS=folder; some hours; SEED=0)
SOAK = $(BIN)/python -m experiments.soak.
SOAK_PHOTOS = '$(or $(PHOTOS),$(JUDGED)/test_images)' --seed $(or $(SEED),0)
soak: setup
	$(SOAK)damaged_bytes $(SOAK_PHOTOS)
	$(SOAK)mutated_images $(SOAK_PHOTOS)
	$(SOAK)killed_builds $(SOAK_PHOTOS)
	$(SOAK)failed_calls
	$(SOAK)power_cuts --seed $(or $(SEED),0)
	$(SOAK)fuzzed_parsers --seed $(or $(SEED),0)
	$(BIN)/python -m pytest tests/indexer/test_random_operations.py \
		--hypothesis-profile soak --hypothesis-seed $(or $(SEED),0)

## make ablation         every part of the ranking switched off in turn, mean of 3 seeds (some 40 minutes)
ablation: setup
	$(BIN)/python -m experiments.ablation $(JUDGED)

## make seed-project     the project photoseek grew from, and photoseek beside it, as one report (a minute or two)
seed-project: setup
	@$(BIN)/python -m experiments.seed_project $(JUDGED) -o seed-project.html $(if $(WEIGHTS),--weights '$(WEIGHTS)')

## make figures          every figure of the README's table (JUDGED=folder; some five minutes)
figures: setup
	$(BIN)/photoseek evaluate $(JUDGED)

## make report           JUDGED and the shipped ranker as two HTML reports in build/
report: setup
	@mkdir -p build
	$(BIN)/photoseek explore $(JUDGED) -o build/data.html
	$(BIN)/photoseek evaluate $(JUDGED) --html build/ranker.html

## make look             REPORT (build/ranker.html) as a browser without any network shows it: light, dark, on paper
# Needs Chromium; fails if the page says anything in the console, as it does when something is blocked.
look:
	@for scheme in light dark; do \
		$(BROWSER) --blink-settings=preferredColorScheme=$$([ $$scheme = dark ] && echo 0 || echo 1) \
			--window-size=1280,16000 --screenshot=build/$$scheme.png file://$(abspath $(REPORT)) 2> build/$$scheme.log; \
	done
	@$(BROWSER) --no-pdf-header-footer --print-to-pdf=build/paper.pdf file://$(abspath $(REPORT)) 2> build/paper.log
	@! grep -h "CONSOLE.*source: file:" build/light.log build/dark.log build/paper.log
	@ls build/light.png build/dark.png build/paper.pdf

## make bench            latency, throughput and memory over JUDGED's 1,000 photos
bench: setup
	$(BIN)/photoseek build $(JUDGED)/train_images -i indexes/bench
	$(BIN)/photoseek bench -i indexes/bench

## make clean            remove the virtual environment and what tools left behind
clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
