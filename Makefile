# Everything the user or CI calls. `make demo` and `make test` install what is missing by themselves.
SHELL := /bin/bash
NODE := node_modules/node/bin/node
TESTS ?= $(shell find packages -path '*/test/*' -name '*.test.ts' | sort)
# Every kpatch that a test starts checks its own JSON output against docs/schemas. Compiled sources are kept: each test file is a
# process that reads hundreds of them.
CHECKED := NODE_OPTIONS=--import=$(CURDIR)/packages/kpatch/test/output-check.ts NODE_COMPILE_CACHE=$(CURDIR)/build/node

.PHONY: help install install-all check format docs packages server-packages test attacks demo channel-demo factory-demo fleet-demo screenshots bench fuzz machines soak corpus clean

help:
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

install: ## install what is missing: packages of the system, the pinned Node and its modules
	@tools/install

install-all: ## the same, with what only tests, packages and channels need
	@tools/install all

check: install ## formatting, lint, types, layers, names of machines and distributions, generated documents, wording
	@node_modules/.bin/biome check --error-on-warnings
	@node_modules/.bin/tsc -p . --incremental --tsBuildInfoFile node_modules/.tsbuildinfo
	@$(NODE) tools/layers.ts
	@$(NODE) tools/names.ts
	@$(NODE) tools/state.ts
	@$(NODE) tools/documents.ts --check
	@$(NODE) tools/prose.ts

format: install ## format the sources in place
	@node_modules/.bin/biome check --write

docs: install ## write the documents that are printed from the sources
	@$(NODE) tools/documents.ts

site: install docs ## the documentation as a static site in dist/site
	@$(NODE) tools/site.ts

tour: install-all ## run every command of docs/tutorial.md in a terminal and compare what it prints
	@$(NODE) tools/tour.ts

recordings: install-all ## record build, try, load and prove as asciicasts into docs/recordings
	@$(NODE) tools/recordings.ts

screenshots: install-all ## the pages in every state into docs/images
	@$(NODE) tools/screenshots.ts
	@$(NODE) tools/fleet-screenshots.ts

packages: install-all ## one executable that needs no Node, a .deb, an .rpm and a bill of materials (CycloneDX), into dist/ (MACHINE=aarch64: for another machine)
	@$(NODE) tools/packages.ts $(if $(MACHINE),--machine $(MACHINE))

server-packages: install-all ## the fleet server and the factory as a .deb and an .rpm with units, into dist/server/ (MACHINE=aarch64: for another machine)
	@$(NODE) tools/server-packages.ts $(if $(MACHINE),--machine $(MACHINE))

test: install-all ## every test (TESTS=FILE… for some)
	@$(CHECKED) $(NODE) tools/tests.ts $(TESTS)

attacks: install-all ## carry out every attack that the tests know: one line each, with what refused it (AREA=policy for one area)
	@$(NODE) tools/attacks.ts $(AREA)

demo: install ## the whole way: newest stock kernel, one-line fix, live patch, seen in a running guest
	@$(NODE) tools/demo.ts $(if $(ALLOW_EXPIRED),--allow-expired)

channel-demo: install-all ## a channel end to end: built, proven, published, followed by a machine with apt and by dnf
	@$(NODE) tools/channel-demo.ts

factory-demo: install-all ## from real CVE records to a channel: series, build, publication, a new record, a fix of a fix, a withdrawal (ARGS=…)
	@$(NODE) tools/factory-demo.ts $(ARGS)

fleet-demo: install-all ## a fleet server with simulated hosts and a real guest, a page to open, a good and a bad patch in rings (ARGS='--hosts N --crash-rate R --no-guest')
	@$(NODE) tools/fleet-demo.ts $(ARGS)

bench: install-all ## how fast, how large: each bench/*.ts prints a table
	@for file in bench/*.ts; do $(NODE) $$file || exit 1; done

soak: install-all ## the long form of every long check (hours)
	@KPATCH_SOAK=1 $(CHECKED) $(NODE) --test --test-concurrency=1 --test-timeout=21600000 $(TESTS)
	@$(NODE) tools/fresh-machine.ts
	@$(NODE) tools/tour.ts

corpus: install ## real fixes between two stock kernels, built and loaded (OLD=, NEW=, COUNT=, SEED=, ALLOW_EXPIRED=1, RECORD=1: keep it in docs/kernels.md)
	@$(NODE) tools/corpus.ts $(if $(OLD),--old $(OLD)) $(if $(NEW),--new $(NEW)) $(if $(COUNT),--count $(COUNT)) $(if $(SEED),--seed $(SEED)) $(if $(ALLOW_EXPIRED),--allow-expired) $(if $(RECORD),--record)

machines: install-all ## other machines: a small kernel for each is cross-built, patched and proven in an emulator (MACHINE=NAME, ALLOW_EXPIRED=1)
	@$(NODE) tools/machines.ts $(MACHINE) $(if $(ALLOW_EXPIRED),--allow-expired)

fuzz: install-all ## 100,000 mutated objects through the differ
	@$(NODE) tools/fuzz.ts 100000

clean: ## remove what was built here (the cache of prepared kernels stays: kpatch kernel remove)
	rm -rf build dist
