# What people run. Every target works from a fresh clone on Debian 12 with Rust, Node 20 and Python 3.

CARGO ?= cargo
NODE ?= node
# Not set: the usual port, or a free one where that is taken.
LISTEN ?=

.PHONY: help demo test setup lint format built unit web package docs walk e2e chaos many chains chains-fast limits oidc-load compare scale waiting build deny fuzz mutants deb install-test release

help:
	@echo 'make demo     build, serve the demo and print the address to open (LISTEN=ADDRESS:PORT for another one)'
	@echo 'make test     everything CI runs, set-up included'
	@echo 'make lint     formatting (Rust, JavaScript) and clippy'
	@echo 'make format   formats Rust and JavaScript'
	@echo "make built    the ready page's script, made small again after a change of web/follow.js or web/ready.js"
	@echo 'make unit     the Rust tests'
	@echo 'make web      the tests of the browser side, with its type check'
	@echo 'make package  the npm package, in target/npm, and its test: three bundlers, React, Vue, a browser'
	@echo 'make docs     the documentation site, in target/book; fails on a broken link'
	@echo 'make walk     types what the tutorial says into a shell, and signs in'
	@echo 'make e2e      the end-to-end tests: real nginx, a real browser, real MAX clients (ONLY=session for one file)'
	@echo 'make chaos    logins while everything goes wrong, by 20 seeds (SEEDS=5; SEED=7 for that one)'
	@echo 'make many     1 000 logins while nodes are stopped and killed (COUNT=200 for fewer)'
	@echo 'make chains   logins over some 60 chains of real proxies (ONLY=regex for some, WRITE=1 writes docs/proxies.md)'
	@echo 'make chains-fast  ten of them, under a minute'
	@echo 'make deb      the Debian package, in target/dist'
	@echo 'make release  what a release consists of, in target/dist: archives, .deb, npm package, SBOM, SHA256SUMS (ten minutes)'
	@echo 'make install-test  the Debian package on a clean Debian (install, sign in, upgrade, purge), with systemd and without, and what the container file says (a minute; root)'
	@echo 'make deny     what may be in the dependency tree'
	@echo 'make fuzz     the decoders under random input, a minute in all (TARGET=frame for one, SECONDS=600 for each)'
	@echo 'make mutants  would a test notice? (SEED=1 COUNT=60: an even sample; MODULE=setup: of a module)'
	@echo 'make scale    a country that signs in: a simulation on a virtual clock, some minutes'
	@echo 'make limits   what a release build costs, with each store: time, memory, size'
	@echo 'make oidc-load  sign-ins to an app a second, with each store, and beside npm oidc-provider (two minutes)'
	@echo 'make compare  what a login costs beside a bare relay and a Node system, in one run (a quarter of an hour; ROUNDS=1 SECONDS_EACH=5)'
	@echo 'make waiting  50 000 waiting logins on this machine, held and then finished (a quarter of an hour)'

demo:
	@scripts/setup demo
	$(CARGO) build
	target/debug/max-auth serve --demo $(if $(LISTEN),--listen $(LISTEN))

test: setup lint unit web docs fuzz package walk e2e install-test chains-fast

setup:
	@scripts/setup

build:
	$(CARGO) build

# Every JavaScript file of ours; .prettierrc.json says how it looks.
PRETTIER = tests/node_modules/.bin/prettier --log-level warn
JAVASCRIPT = 'web/{,npm/}*.js' 'tests/**/*.{js,mjs}'
format:
	@scripts/setup web
	$(CARGO) fmt
	$(PRETTIER) --write $(JAVASCRIPT)

lint:
	@scripts/setup web
	$(CARGO) fmt --check
	$(PRETTIER) --check $(JAVASCRIPT)
	$(CARGO) clippy --all-targets -- -D warnings

unit:
	$(CARGO) test

web:
	@scripts/setup web
	tests/node_modules/.bin/tsc -p tests/web
	cd tests/web && $(NODE) --test

# The npm package: made in target/npm, and then in a project, through three bundlers, in a browser.
package: setup build
	scripts/package
	cd tests/package && $(NODE) --test --test-reporter=spec --test-timeout=300000

docs:
	@scripts/setup docs
	.venv-docs/bin/mdbook build
	cd tests/docs && $(NODE) --test --test-reporter=spec links.test.mjs commands.test.mjs search.test.mjs

walk: setup build
	cd tests/docs && $(NODE) --test --test-reporter=spec --test-timeout=300000 walk.test.mjs

ONLY ?= *
e2e: setup build
	cd tests/e2e && $(NODE) --test --test-reporter=spec --test-concurrency=2 --test-timeout=300000 $(ONLY).test.mjs

# Each seed draws another story of what goes wrong; the numbers are those that a failure names.
SEEDS ?= 20
chaos: setup build
	cd tests/e2e && $(if $(filter command environment,$(firstword $(origin SEED))),SEED=$(SEED),SEEDS=$(SEEDS)) $(NODE) --test --test-reporter=spec --test-timeout=7200000 chaos.test.mjs

many: setup build
	cd tests/e2e && COUNT=$(if $(filter command environment,$(firstword $(origin COUNT))),$(COUNT),1000) $(NODE) --test --test-reporter=spec --test-timeout=3600000 many.test.mjs

# What is built out of web/ and kept in web/built.
built:
	@scripts/setup web
	scripts/built

# One file after the other, because they measure time.
CHAINS = $(NODE) --test --test-concurrency=1 --test-timeout=900000 --test-reporter=spec
chains:
	@scripts/setup chains
	$(CARGO) build
	cd tests/chains && $(CHAINS) live.test.mjs quiet.test.mjs browser.test.mjs cuts.test.mjs frozen.test.mjs doctor.test.mjs setup.test.mjs forward-auth.test.mjs caches.test.mjs

chains-fast:
	@scripts/setup chains
	$(CARGO) build
	cd tests/chains && FAST=1 $(CHAINS) live.test.mjs frozen.test.mjs doctor.test.mjs forward-auth.test.mjs caches.test.mjs

deb:
	@scripts/setup install
	$(CARGO) build --release --locked
	@mkdir -p target/dist
	scripts/deb target/release/max-auth target/dist/

release:
	@scripts/setup release
	scripts/release

# Of the debug build: what is tested is the package.
install-test: build
	@scripts/setup install
	cd tests/install && $(NODE) --test --test-reporter=spec --test-concurrency=1 --test-timeout=600000

limits:
	@scripts/limits

oidc-load:
	@scripts/oidc-load

compare:
	@scripts/compare

scale:
	$(CARGO) test --release --lib a_country -- --ignored --nocapture

waiting:
	$(CARGO) build --release
	@scripts/waiting

deny:
	@scripts/setup deny
	$(CARGO) deny check bans licenses sources

TARGET ?=
SECONDS ?=
fuzz:
	@scripts/fuzz $(if $(TARGET),--target $(TARGET)) $(if $(SECONDS),--seconds $(SECONDS))

MODULE ?=
SEED ?= 1
COUNT ?= 60
mutants:
	@scripts/setup mutants
	@scripts/mutants $(if $(MODULE),--module $(MODULE)) --seed $(SEED) --count $(COUNT)
