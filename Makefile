# What people type. Meson does the building; this file knows the order of things.

BUILD := build
ASAN  := build-asan
TSAN  := build-tsan
FUZZ  := build-fuzz
STATIC := build-static

PREFIX ?= /usr/local
PYTHON := .venv/bin/python
# Loads that end: how long each fuzz target runs, in seconds.
FUZZ_SECONDS ?= 60

.PHONY: all deps build static demo test unit python e2e kubernetes kubernetes-parts crds sanitizers threads lint format fuzz bench bench-kubernetes install clean help

all: build

help:
	@echo 'make demo      Yao Bank with real Envoys, start to end (KEEP=1 leaves it up)'
	@echo 'make test      every test'
	@echo 'make           build to $(BUILD)/bin'
	@echo 'make static    files without shared libraries, in $(STATIC)/bin; prints their sizes'
	@echo 'make lint      formatting, analyzers'
	@echo 'make fuzz      each fuzz target for FUZZ_SECONDS=$(FUZZ_SECONDS)'
	@echo 'make bench     speed and memory; make bench-kubernetes with a real API server'
	@echo 'make install   DESTDIR= PREFIX=$(PREFIX)'
	@echo 'make clean     forget what was built'

deps:
	@scripts/install-deps.sh

$(BUILD)/build.ninja:
	meson setup $(BUILD) --prefix $(PREFIX)

$(ASAN)/build.ninja:
	meson setup $(ASAN) -Db_sanitize=address,undefined -Db_lundef=false -Dbuildtype=debug -Doptimization=1

$(TSAN)/build.ninja:
	meson setup $(TSAN) -Db_sanitize=thread -Db_lundef=false -Dbuildtype=debug -Doptimization=1

$(FUZZ)/build.ninja:
	CC=clang-14 meson setup $(FUZZ) -Dfuzzing=true -Db_sanitize=address,undefined -Db_lundef=false

$(STATIC)/build.ninja:
	meson setup $(STATIC) --prefix $(PREFIX) --prefer-static -Dstatic=true

build: deps $(BUILD)/build.ninja
	@ninja -C $(BUILD) --quiet

demo: build
	@$(PYTHON) demo/yaobank.py

test: unit sanitizers python threads e2e kubernetes
	@echo 'All tests passed.'

unit: build
	meson test -C $(BUILD) --print-errorlogs

# The same unit tests with AddressSanitizer, LeakSanitizer and UndefinedBehaviorSanitizer.
sanitizers: deps $(ASAN)/build.ninja
	@ninja -C $(ASAN) --quiet
	meson test -C $(ASAN) --print-errorlogs

# Several workers, with ThreadSanitizer.
threads: deps $(TSAN)/build.ninja
	@ninja -C $(TSAN) --quiet bin/dikastes
	DIKAST_BUILD=$(TSAN) $(PYTHON) -m pytest -q tests/py/test_workers.py

# The tests in Python drive the sanitizer build: what they reach is watched while they look at answers.
python: sanitizers static
	DIKAST_BUILD=$(ASAN) $(PYTHON) -m pytest -q tests/py

e2e: build
	$(PYTHON) -m pytest -q tests/e2e

# The API server and what else a real cluster is made of: built from source into a cache, some minutes, once.
kubernetes-parts: deps
	@$(PYTHON) scripts/kubernetes-parts.py

kubernetes: build kubernetes-parts
	$(PYTHON) -m pytest -q tests/kubernetes

# The definitions of Calico's resources, from their tables.
crds: deps
	@$(PYTHON) scripts/generate-crds.py

# The linker warns of getaddrinfo; dikastes(8), STATIC BUILD, says what that means.
static: deps $(STATIC)/build.ninja
	@ninja -C $(STATIC) --quiet
	@stat -c '%n: %s bytes' $(STATIC)/bin/dikastes $(STATIC)/bin/uds $(STATIC)/bin/csi-driver

lint: deps $(BUILD)/build.ninja
	scripts/lint.sh $(BUILD)

format:
	clang-format-14 -i $$(git ls-files 'src/*.[ch]' 'tests/*.[ch]' 'bench/*.[ch]')

fuzz: deps $(FUZZ)/build.ninja
	@ninja -C $(FUZZ) --quiet
	scripts/fuzz.sh $(FUZZ) $(FUZZ_SECONDS)

bench: build
	$(PYTHON) bench/run.py
	$(BUILD)/bench/calc 1000 10000 250
	$(BUILD)/bench/calc 10000 100000 250
	$(PYTHON) bench/agent.py
	$(PYTHON) bench/agent.py --policies 10000 --pods 100000

bench-kubernetes: build kubernetes-parts
	$(PYTHON) bench/kubernetes.py

install: $(BUILD)/build.ninja
	meson configure $(BUILD) --prefix $(PREFIX)
	DESTDIR='$(DESTDIR)' meson install -C $(BUILD)

clean:
	rm -rf $(BUILD) $(ASAN) $(TSAN) $(FUZZ) $(STATIC)
