# Sets up, demonstrates, tests. `make demo` and `make test` are all a newcomer needs; `make help`
# lists the rest.
PYTHON ?= python3
BIN    := .venv/bin
# Root can install what is missing; others are told what to install.
APT    := $(shell if [ "$$(id -u)" = 0 ]; then echo apt-get; elif command -v sudo >/dev/null; then echo sudo apt-get; fi)

.PHONY: help demo test quick docs set-up test-set-up firmware avr clean

help:  ## list what make can do
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

demo: set-up  ## set up, and shoot a stack on the simulated instrument
	$(BIN)/macrorail demo

test: test-set-up  ## set up, and run all checks and tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) --no-print-directory docs
	$(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist loadfile

# The quick unit tests: under two minutes on a quiet machine.
quick: .venv/.test-ready firmware  ## run the checks and the quick tests only
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest tests/unit -m "not slow" --numprocesses auto --maxprocesses 4 --dist loadfile

docs: .venv/.docs-ready  ## build the documentation into build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

set-up: .venv/.ready firmware  ## set up what macrorail needs

test-set-up: .venv/.test-ready firmware avr-toolchain browser outside-client readers crate-validator  ## set up what the tests need

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "macrorail needs Python 3.11 or newer; this is $$($(PYTHON) -V). Try: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || $(MAKE) --no-print-directory apt PACKAGES=python3-venv
	$(PYTHON) -m venv .venv

.venv/.ready: .venv/bin/python pyproject.toml
	rm -rf macrorail.egg-info  # of former versions; it would hide the names of the drivers
	$(BIN)/pip install --quiet --editable .
	touch $@

.venv/.test-ready: .venv/.ready
	@$(MAKE) --no-print-directory emulator-toolchain
	$(BIN)/pip install --quiet --editable '.[test,hil]'
	touch $@

.venv/.docs-ready: .venv/.ready
	$(BIN)/pip install --quiet --editable '.[docs]'
	touch $@

# The emulated chip (extra `hil`) comes as source: pip builds it once, in some three minutes, and
# keeps the wheel in its cache.
.PHONY: emulator-toolchain
emulator-toolchain:
	@$(BIN)/python -c 'import yasimavr' 2>/dev/null || { command -v g++ >/dev/null && \
		echo '#include <libelf.h>' | g++ -E -x c++ - >/dev/null 2>&1 && \
		echo '#include <Python.h>' | g++ -E -x c++ $$($(BIN)/python -c 'import sysconfig; print("-I" + sysconfig.get_path("include"))') - >/dev/null 2>&1; } || \
		$(MAKE) --no-print-directory apt PACKAGES='g++ libelf-dev python3-dev'

firmware:  ## build the firmware for this computer
	@command -v cc >/dev/null || $(MAKE) --no-print-directory apt PACKAGES='gcc libc6-dev'
	$(MAKE) --no-print-directory -C firmware native

# The tests also build the Arduino image.
.PHONY: avr-toolchain
avr-toolchain:
	@command -v avr-gcc >/dev/null || $(MAKE) --no-print-directory apt PACKAGES='gcc-avr avr-libc binutils-avr'

# The operator's page is tested in a real browser. Where none can be had, those tests say so and
# are left out.
.PHONY: browser
browser:
	@command -v chromium >/dev/null || $(MAKE) --no-print-directory apt PACKAGES=chromium || \
		echo "No chromium: the browser tests will be left out."

# Exports are opened by programs that are not ours. Where one is missing, its tests say so and are
# left out.
READERS := libimage-exiftool-perl imagemagick exempi assimp-utils
.PHONY: readers
readers:
	@command -v exiftool >/dev/null && command -v convert >/dev/null && command -v exempi >/dev/null && \
		command -v assimp >/dev/null || $(MAKE) --no-print-directory apt PACKAGES='$(READERS)' || \
		echo "Not all of $(READERS): the tests that need them will be left out."

# Deliveries are judged by a validator that is not ours, in an environment of its own: it wants
# other versions of libraries than we have.
.PHONY: crate-validator
crate-validator: .venv/bin/python
	@test -x .venv/crate-validator/bin/rocrate-validator || { $(BIN)/python -m venv .venv/crate-validator && \
		.venv/crate-validator/bin/pip install --quiet 'roc-validator>=0.6'; } || \
		echo "No RO-Crate validator: its test will be left out."

# Debian's own gphoto2 works the simulated cameras in the tests, which are left out without it.
.PHONY: outside-client
outside-client:
	@command -v gphoto2 >/dev/null || $(MAKE) --no-print-directory apt PACKAGES=gphoto2 || \
		echo "No gphoto2 command: its tests will be left out."

.PHONY: apt
apt:
	@if [ -z "$(APT)" ]; then echo "Please install first: apt-get install $(PACKAGES)"; exit 1; fi
	$(APT) update -qq
	DEBIAN_FRONTEND=noninteractive $(APT) install -y -qq --no-install-recommends $(PACKAGES)

avr:  ## build the firmware for the Arduino
	$(MAKE) --no-print-directory -C firmware avr

clean:  ## remove .venv and what was built
	rm -rf .venv firmware/build build
