# Two commands matter: `make demo` and `make test`. Both set up .venv first, from constraints.txt.

PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
# Window tests need a virtual screen, the micro-Bark tests a speech synthesiser to compare with.
DEBIAN_TEST_PACKAGES := espeak-ng

.PHONY: demo test lint bench setup debian-test-packages clean

demo: setup
	$(BIN)/python bark_perform.py --model random-tiny --text_prompt "Hello, this is noise until micro-Bark lands." \
	    --output_iterations 2 --seed 7 --output_dir demo_output --overwrite
	@echo "The clips, their voices (.npz) and how to repeat them (.json) are in demo_output/."

test: setup debian-test-packages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q -m "not slow and not weights and not gpu"

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup
	$(BIN)/python -m experiments.benchmarks.engine

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not installed; Debian: apt install python3.11 python3.11-venv, or pass PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev,asr,playback]"
	touch $(STAMP)

debian-test-packages:
	@missing=""; for p in $(DEBIAN_TEST_PACKAGES); do dpkg -s $$p >/dev/null 2>&1 || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing >/dev/null || \
	    echo "could not install$$missing; the tests that need them will skip and say so"; \
	  else echo "not root, so not installing$$missing; the tests that need them will skip and say so"; fi; fi

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache
