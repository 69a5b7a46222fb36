# What people and CI run. Everything here works on a fresh clone with Rust (rustup), Go, a C linker, curl and make, on Linux with user
# namespaces.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CARGO ?= cargo
# Further arguments of `make run` and `make crash`, such as ARGS='--namespace shop' or ARGS='--short'.
ARGS ?=
# Tests under way at the same time. Most of them wait for a cluster and not for a processor.
THREADS ?= 6
# The name of the image that `make image` builds.
IMAGE ?= registry.example.com/tradewind:0.1.0
# Its tag, which names the version of what is in it.
IMAGE_VERSION = $(lastword $(subst :, ,$(IMAGE)))
# `make demo KEEP=1` leaves everything running.
KEEP ?=
# `make histories` and `make crash` fail where they take longer than so many seconds: for a machine of which one knows how long they take.
WITHIN ?=

# The tests that own generated files: they compare them, and write them with UPDATE_GENERATED=1. They need no cluster.
GENERATED := manifests::the_files_are_what_the_types_say docs::the_states_on_the_page_are_those_of_the_program \
  docs::the_platforms_on_the_page_are_those_of_the_program docs::the_settings_on_the_page_are_those_of_the_program \
  docs::the_connectors_on_the_page_are_those_of_the_program docs::the_mistakes_on_the_page_are_those_that_are_made \
  docs::reference::the_fields_on_the_page_are_those_of_the_types \
  observability::metrics::the_metrics_on_the_page_are_those_of_the_program \
  observability::metrics::the_causes_and_outcomes_on_the_page_are_those_of_the_program \
  observability::health::the_health_on_the_page_is_what_the_tools_say \
  observability::health::the_patch_for_argo_cd_holds_the_script_for_every_kind

.PHONY: help
help: ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

##### See it work

.PHONY: demo
demo: ## Control plane, simulated provider and operator: YAML becomes connections (KEEP=1 leaves all running)
	@KEEP='$(KEEP)' CARGO='$(CARGO)' demo/run.sh up

.PHONY: demo-down
demo-down: ## End what `make demo KEEP=1` left running
	@CARGO='$(CARGO)' demo/run.sh down

.PHONY: cluster-up
cluster-up: ## Start a Kubernetes control plane on this machine; its kubeconfig is target/cluster/kubeconfig
	$(CARGO) run --locked --quiet --package tradewind-cluster -- up

.PHONY: cluster-down
cluster-down: ## End that control plane and throw away what it stored
	$(CARGO) run --locked --quiet --package tradewind-cluster -- down

.PHONY: run
run: ## Run the operator against the control plane of `make cluster-up`, never against another cluster (ARGS='…')
	KUBECONFIG=target/cluster/kubeconfig $(CARGO) run --locked --package tradewind --bin tradewind -- run $(ARGS)

##### Work on it

.PHONY: build
build: ## Build target/release/tradewind
	$(CARGO) build --locked --release --package tradewind

# The target of the Dockerfile: no C library is needed where it runs, so it can stand in an image alone.
MUSL := $(shell uname -m)-unknown-linux-musl

# Paths of this machine are no part of what is built (`make reproducible`).
CARGO_HOME ?= $(HOME)/.cargo
REMAP := $(CURDIR)=/tradewind $(CARGO_HOME)=/cargo

.PHONY: static
static: export RUSTFLAGS := $(REMAP:%=--remap-path-prefix=%)
static: export TARGET_CFLAGS := $(REMAP:%=-ffile-prefix-map=%)
static: ## Build a static binary, target/*-unknown-linux-musl/release/tradewind (needs musl-gcc; Debian: musl-tools)
	rustup target add $(MUSL)
	TARGET_CC=musl-gcc $(CARGO) build --locked --release --package tradewind --target $(MUSL)

.PHONY: image
image: ## Build an image with docker (IMAGE=registry.example.com/tradewind:0.1.0)
	docker build --tag $(IMAGE) --build-arg VERSION=$(IMAGE_VERSION) --build-arg REVISION="$$(git rev-parse HEAD 2> /dev/null || echo unknown)" .

.PHONY: image-check
image-check: ## What `make image` built runs with a root that cannot be written, and not as root (IMAGE=…)
	docker run --rm --read-only $(IMAGE) --version
	[ "$$(docker inspect --format '{{.Config.User}}' $(IMAGE))" = 65532:65532 ]
	[ "$$(docker inspect --format '{{index .Config.Labels "org.opencontainers.image.version"}}' $(IMAGE))" = $(IMAGE_VERSION) ]

.PHONY: image-binary
image-binary: ## Take the program out of the image, target/image/tradewind, to check and release that one (IMAGE=…)
	rm -rf target/image
	mkdir -p target/image
	id=$$(docker create $(IMAGE)) && docker cp "$$id:/tradewind" target/image/tradewind && docker rm "$$id" > /dev/null

.PHONY: fmt
fmt: ## Format the sources
	$(CARGO) fmt --all

.PHONY: lint
lint: ## All lints, in all crates and their tests; a warning is an error
	$(CARGO) clippy --locked --workspace --all-targets -- --deny warnings

.PHONY: verify
verify: fmt-check lint generated examples docs ## Format, lints, generated files, examples, documentation; needs no cluster
	@echo "verify: all is well"

.PHONY: test
test: ## All tests of all crates, those on a real control plane too, and the demo; the first run builds it, which takes minutes
	@rm -rf target/tmp/it/logs
	RUST_TEST_THREADS=$(THREADS) $(CARGO) test --locked --workspace --no-fail-fast
	$(MAKE) --no-print-directory test-memory
	@tests/search-canaries.sh target/tmp/it
	$(MAKE) --no-print-directory demo KEEP=

# The same tests hold the API server in memory to what the real one does; those in a module `real` need the real one.
.PHONY: test-memory
test-memory: ## The lifecycle tests and the rules of the schema once more, against the API server in memory that the histories run on
	@rm -rf target/tmp/it/memory
	TRADEWIND_APISERVER=memory RUST_TEST_THREADS=$$(( $(THREADS) * 3 )) $(CARGO) test --locked --workspace --test it -- lifecycle:: what_the_schema_bounds the_manifests_that_cases_begin_with --skip ::real::

.PHONY: histories
histories: ## The real engine with simulated time: every history with one thing that goes wrong, drawn ones with two (ARGS='--seed 2 --sample 20000 --depth 3')
	$(CARGO) run --locked --profile histories --package tradewind-histories -- $(or $(ARGS),--sample 2000) $(WITHIN:%=--within %)

.PHONY: mutants
mutants: ## Make every mistake of tests/mutants/mutants.yaml in a copy of the sources: the tests must catch each (ARGS='--only grace')
	$(CARGO) run --locked --package tradewind-mutants -- $(ARGS)

.PHONY: generate
generate: ## Write what is generated: crds/ and the copy in the chart from the types, the tables in docs/
	UPDATE_GENERATED=1 $(CARGO) test --locked --package tradewind --test it -- --exact $(GENERATED)

.PHONY: bench
bench: ## How soon a new object's first call reaches the provider; what a team notices of a busy one (ARGS=fairness)
	$(CARGO) run --locked --release --package tradewind-bench -- $(ARGS)

.PHONY: crash
crash: ## Kill the operator before and after every write, and at any moment: at least 1,000 kills in some 18 minutes (ARGS='--short')
	$(CARGO) build --locked --package tradewind-crash --bins
	$(CARGO) run --locked --package tradewind-crash --bin tradewind-crash -- $(ARGS) $(WITHIN:%=--within %)

##### What is released (docs/supply-chain.md)

# What `make static` builds.
STATIC := target/$(MUSL)/release/tradewind
# The binary that is measured and released: that one, or another one that is there, such as that of the image (`make image-binary`).
BINARY ?= $(STATIC)
# Only what `make static` builds is built for it.
BUILT := $(if $(filter $(STATIC),$(BINARY)),static)
# Bytes on disk, and MiB of memory with nothing to do.
MAX_SIZE := 18000000
MAX_RESIDENT := 15

.PHONY: release-check
release-check: size resident reproducible sbom deny no-unsafe ## All of these, in order; each prints what it measured

.PHONY: size
size: $(BUILT) ## The static binary has at most 18,000,000 bytes (BINARY=… is another one)
	@bytes=$$(stat --format %s $(BINARY)); echo "size: $$bytes bytes; the limit is $(MAX_SIZE)"; [ "$$bytes" -le $(MAX_SIZE) ]

.PHONY: resident
resident: $(BUILT) ## With no objects it holds at most 15 MiB of memory, on a control plane that is started for this (BINARY=…)
	@CARGO='$(CARGO)' tests/release/resident.sh $(BINARY) $(MAX_RESIDENT)

.PHONY: reproducible
reproducible: static ## The same sources make the same static binary in another folder; a second build from nothing
	@CARGO='$(CARGO)' tests/release/reproducible.sh $(STATIC)

.PHONY: sbom
sbom: ## Bill of materials of the static binary, target/tradewind.cdx.json (needs cargo-cyclonedx and jq)
	@CARGO='$(CARGO)' tests/release/sbom.sh $(MUSL) target/tradewind.cdx.json

# Of the tag that is released.
VERSION ?= $(shell $(CARGO) pkgid tradewind | sed 's/.*[\#@]//')

.PHONY: release-files
release-files: $(BUILT) sbom ## Binary, bill of materials, CRDs and chart with their checksums, in target/release-files (VERSION=0.1.0 IMAGE=…:0.1.0, which the chart names; BINARY=…)
	@tests/release/files.sh $(VERSION) $(IMAGE) $(BINARY) target/tradewind.cdx.json target/release-files

.PHONY: deny
deny: ## Licences, banned crates and where crates come from (needs cargo-deny)
	@command -v cargo-deny > /dev/null || { echo "cargo-deny is not installed: cargo install --locked cargo-deny" >&2; exit 1; }
	$(CARGO) deny --workspace check licenses bans sources

# By itself: it fetches the database of advisories.
.PHONY: advisories
advisories: ## Known vulnerabilities, and crates without upkeep (needs cargo-deny and GitHub)
	@command -v cargo-deny > /dev/null || { echo "cargo-deny is not installed: cargo install --locked cargo-deny" >&2; exit 1; }
	$(CARGO) deny --workspace check advisories

.PHONY: no-unsafe
no-unsafe: ## No source of ours has `unsafe`, and every crate forbids it to the compiler
	@$(CARGO) test --locked --quiet --workspace --test it -- --nocapture architecture::unsafety:: | grep --only-matching 'no-unsafe: .*'

##### Parts of verify

.PHONY: fmt-check
fmt-check:
	$(CARGO) fmt --all --check

# A filter that matches nothing passes: so the tests are counted first.
.PHONY: generated
generated:
	@found=$$($(CARGO) test --locked --quiet --package tradewind --test it -- --exact --list $(GENERATED) | grep --count ': test$$' || true); \
	  [ "$$found" = $(words $(GENERATED)) ] || { echo "GENERATED in the Makefile names tests that do not exist" >&2; exit 1; }
	$(CARGO) test --locked --package tradewind --test it -- --exact $(GENERATED)

.PHONY: examples
examples:
	$(CARGO) run --locked --quiet --package tradewind --bin tradewind -- validate --recursive --filename examples

.PHONY: docs
docs:
	RUSTDOCFLAGS='--deny warnings' $(CARGO) doc --locked --workspace --no-deps
