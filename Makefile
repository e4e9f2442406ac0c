# pi-ota: build, publish and try it. `make` alone lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Debian's own Python: python3-apt exists for no other.
DEBIAN_PYTHON := /usr/bin/python3
VENV := .venv
PYTHON := $(VENV)/bin/python

# What may be given to a target, as `make release VERSION=1.0.0`; docs/COMMANDS.md has these lines.
#: VERSION          of the release, as 1.0.0: higher than every published one
#: NOTES            what is new, in one line; without it the first line of the last commit
#: URGENCY          `scheduled` (in the night) or `urgent` (as soon as nobody is active)
#: SRC              the folder with `release.toml`
#: CHANNEL          instead of the default channel of `pkgbuild.toml`; for `withdraw` and `prune` only this one of all
#: NAME             the assistant's package
#: FROM             the channel that has the release; `beta` without it
#: TO               the channel that gets it; `stable` without it
#: OLD              the published version whose content is released again
#: DRY_RUN          `1`: build and show what would be done, and change nothing
#: KEEP             of `prune`: how many releases stay in any case, 3 without it; of `demo`: `1` leaves everything running
#: STATE            the folder of `make serve`: aptly, keys, the server's database, `pkgbuild.toml`
#: PKGBUILD_CONFIG  the builder's settings, where they are not those of `STATE`
#: DEMO_STATE       the folder of `make demo`
#: JOBS             how much runs at the same time; the number of processors without it
#: TEST_JOBS        the same of `make test`, twice as many without it
#: N                how many: cuts, kills, devices, or cases of each endpoint
#: SEED             decides what chance decides
#: REAL             the share of power cuts with the published payload
#: PAGES            which pages, by their names; all without it
#: HOST             the name under which devices reach the server; needed once
#: TLS              `own` (a certificate of an authority made on the server) or `certbot` (a public one); `own` without it
#: EMAIL            where the public certificate authority writes to
#: PURGE            `1`: take the server's data and the signing keys as well
#: DEBIAN           of the server that `walk` makes: `trixie`, or `bookworm`
#: CORE             which of the tests that boot the virtual Pi
STATE ?= .pi-ota/serve
DEMO_STATE ?= .pi-ota/demo
JOBS ?= $(shell nproc)
# Tests wait for disks and programs for half of their time.
TEST_JOBS ?= $(shell echo $$((2 * $(JOBS))))
N ?= 20
SEED ?= 1
REAL ?= 0.25
PYTEST := $(PYTHON) -m pytest -p no:cacheprovider
PKGBUILD := $(PYTHON) -m pkgbuild
# On an installed server (docs/SERVER.md) these run as the builder's user, with what `make install-server` has put there.
ifneq ($(wildcard .venvs),)
PKGBUILD := /usr/local/bin/pkgbuild
SERVER := yes
endif

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z][a-z0-9-]*:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):[^#]*## (.*)/  make \1\t\2/' | expand -t 22

.PHONY: setup
setup: $(if $(SERVER),,packages $(VENV)/.installed) ## install what is needed: Debian packages and a Python environment in .venv

.PHONY: packages
packages:
	@$(if $(SERVER),,.ci/install-packages)

# With the system's packages: python3-apt and python3-gpiozero are Debian's, everything else is locked with hashes.
$(VENV)/.installed: requirements.lock | packages
	@echo "Making $(VENV)"
	@$(DEBIAN_PYTHON) -m venv --clear --system-site-packages $(VENV)
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	@touch $@

.PHONY: demo
demo: setup ## the whole path, in a virtual Pi: release, install, defer, update, roll back
	@$(PYTHON) -m demo.story --state $(DEMO_STATE) $(if $(KEEP),--keep)

.PHONY: serve
serve: setup ## run aptly and the server on port 8000 with a state folder of their own (STATE=.pi-ota/serve)
	@$(PYTHON) -m demo.stack --state $(STATE)

.PHONY: install-server
install-server: ## on a server in /opt/pi-ota: install or upgrade it, HOST=updates.example.org TLS=own|certbot EMAIL=… (docs/SERVER.md)
	@repo_server/install/prepare
	@$(PYTHON) -m repo_server.install up $${HOST:+--host "$$HOST"} $${TLS:+--tls "$$TLS"} $${EMAIL:+--email "$$EMAIL"}

.PHONY: uninstall-server
uninstall-server: ## take the server off this machine; PURGE=1 takes its data and its keys as well
	@$(PYTHON) -m repo_server.install down $${PURGE:+--purge}

.PHONY: release
release: setup ## build, sign, publish, announce: VERSION=1.0.0 NOTES="…" URGENCY=scheduled SRC=examples/sample_assistant
	@$(PKGBUILD) release --version "$$VERSION" --notes "$$NOTES" --urgency "$$URGENCY" --src "$$SRC" \
	  $${CHANNEL:+--channel "$$CHANNEL"} $${DRY_RUN:+--dry-run}

.PHONY: promote
promote: setup ## publish a release on another channel as well, without building: NAME=… VERSION=1.0.0 FROM=beta TO=stable
	@$(PKGBUILD) promote "$$NAME" "$$VERSION" $${FROM:+--from "$$FROM"} $${TO:+--to "$$TO"}

.PHONY: withdraw
withdraw: setup ## take a release back, at the server and out of the repository: NAME=… VERSION=1.0.0
	@$(PKGBUILD) withdraw "$$NAME" "$$VERSION" $${CHANNEL:+--channel "$$CHANNEL"}

.PHONY: rollback
rollback: setup ## release an older content as a higher version: NAME=… OLD=1.0.0 VERSION=1.2.0 NOTES="…" URGENCY=urgent
	@$(PKGBUILD) rollback "$$NAME" --to "$$OLD" --version "$$VERSION" --notes "$$NOTES" --urgency "$$URGENCY" \
	  $${CHANNEL:+--channel "$$CHANNEL"}

.PHONY: prune
prune: setup ## remove releases that no device needs any more: KEEP=3 stay in any case, DRY_RUN=1 only tells
	@$(PKGBUILD) prune $${KEEP:+--keep "$$KEEP"} $${CHANNEL:+--channel "$$CHANNEL"} $${DRY_RUN:+--dry-run}

# Through the environment and not expanded, so that quotes, backticks and dollars in the notes stay what they are.
override VERSION := $(value VERSION)
override NOTES := $(value NOTES)
override URGENCY := $(value URGENCY)
override SRC := $(value SRC)
override NAME := $(value NAME)
export VERSION NOTES URGENCY SRC CHANNEL NAME FROM TO OLD KEEP DRY_RUN HOST TLS EMAIL PURGE
export PKGBUILD_CONFIG ?= $(STATE)/pkgbuild.toml

.PHONY: agent
agent: packages ## build the device agent's Debian package, pi-hook, into build/
	@debian/build

# The version is that of debian/changelog: build/ may hold older ones.
.PHONY: release-agent
release-agent: setup agent ## publish the device agent, and the fleet's keys where they are missing: CHANNEL=stable
	@$(PKGBUILD) agent "build/pi-hook_$$(dpkg-parsechangelog -l debian/changelog -S Version)_all.deb" \
	  --with-keys $${CHANNEL:+--channel "$$CHANNEL"}

.PHONY: test
test: setup ## all tests but the ones that boot the virtual Pi or open a browser
	@$(PYTEST) -n $(TEST_JOBS) --dist worksteal -m "not e2e and not browser" tests
	@[ "$$(id -u)" = 0 ] || sudo --preserve-env $(PYTEST) -n $(TEST_JOBS) --dist worksteal -m "root and not e2e" tests

.PHONY: test-desk
test-desk: setup ## the operators' pages in Chromium, on a real server with 5,000 devices
	@$(PYTEST) -n $(JOBS) -m browser tests/desk

.PHONY: screenshots
screenshots: setup ## every page of the desk in light, dark and on a phone into build/screenshots/: PAGES="fleet device"
	@$(PYTHON) -m tests.desk.screenshots $(PAGES)

.PHONY: e2e
e2e: e2e-core e2e-stories ## the tests that boot the virtual Pi

CORE := virtual_pi interruptions wyoming_piper

.PHONY: e2e-core
e2e-core: setup agent ## of these: the virtual Pi itself, a killed agent and a power cut, a published payload
	@$(PYTEST) -m e2e $(CORE:%=tests/e2e/test_%.py)

.PHONY: e2e-stories
e2e-stories: setup agent ## and the others: every reason, every night, every state (long)
	@$(PYTEST) -n $(JOBS) --dist loadfile -m e2e $(CORE:%=--ignore tests/e2e/test_%.py) tests/e2e

.PHONY: powercut
powercut: setup ## cut the virtual Pi's power N=20 times in the middle of updates, forgetting unflushed writes: SEED=1 REAL=0.25
	@$(PYTHON) -m tests.powercut --cuts $(N) --seed $(SEED) --real $(REAL) --jobs $(JOBS)

.PHONY: fleet
fleet: N := 10000
fleet: setup ## a bad release and the one that mends it, in a simulated fleet of N=10000 devices: SEED=1 (minutes)
	@$(PYTHON) -m tests.fleet --devices $(N) --seed $(SEED)

.PHONY: gate-campaign
gate-campaign: setup ## the gate in every zone on every day of twenty years, and in hundreds of disturbed waits (minutes)
	@PI_OTA_CAMPAIGN=1 $(PYTEST) -n $(JOBS) --timeout 3600 tests/property/test_pi_hook_nights.py \
	  tests/integration/pi_hook_daemon/test_waiting.py

.PHONY: rollout-campaign
rollout-campaign: setup ## some hundreds of stories of operators, devices and the clock: rules that hold for every rollout (minutes)
	@PI_OTA_CAMPAIGN=1 $(PYTEST) -n $(JOBS) --timeout 3600 tests/property/test_repo_server_rollouts.py

.PHONY: fuzz-api
fuzz-api: setup ## schemathesis with N=20 cases of each endpoint, as everyone who may ask, with sequences of requests (minutes)
	@PI_OTA_FUZZ=$(N) $(PYTEST) -n $(JOBS) --timeout 3600 tests/integration/repo_server/test_schemathesis.py

.PHONY: check-packages
check-packages: setup ## packages of both examples and others, for every target: lintian, reproducible, contents, purged clean (minutes)
	@sudo=; [ "$$(id -u)" = 0 ] || sudo="sudo --preserve-env"; $$sudo $(PYTHON) -m tests.packages

.PHONY: check-onboarding
check-onboarding: setup ## the line that puts the agent on a Pi, on Debian 12 and 13 under systemd: twice, and taken back (minutes)
	@sudo=; [ "$$(id -u)" = 0 ] || sudo="sudo --preserve-env"; $$sudo $(PYTEST) -n $(JOBS) tests/onboarding/booted.py tests/onboarding/by_hand.py

.PHONY: walk
walk: setup ## docs/GETTING_STARTED.md as it stands there: a clean server, a clean Pi, from nothing to a second release (minutes): DEBIAN=trixie
	@sudo=; [ "$$(id -u)" = 0 ] || sudo="sudo --preserve-env"; $$sudo $(PYTHON) -m tests.walk $(DEBIAN:%=--server %)

.PHONY: check-dist-upgrade
check-dist-upgrade: setup ## a device goes from Debian 12 to 13 in place, under systemd and from Debian's mirror (a quarter of an hour)
	@sudo=; [ "$$(id -u)" = 0 ] || sudo="sudo --preserve-env"; $$sudo $(PYTEST) -x tests/onboarding/dist_upgrade.py

.PHONY: check-debian
check-debian: setup ## the agent's source package on Debian 12 and 13: build, lintian, upgrade, purge, autopkgtest: SUITES="trixie" (minutes)
	@sudo=; [ "$$(id -u)" = 0 ] || sudo="sudo --preserve-env"; $$sudo $(PYTHON) -m tests.debian_package \
	  $(if $(SUITES),--suites "$(SUITES)") $(if $(PREVIOUS),--previous "$(PREVIOUS)")

.PHONY: test-aptly
test-aptly: setup ## the tests of publishing with Debian 12's aptly and with Debian 13's (minutes)
	@sudo=; [ "$$(id -u)" = 0 ] || sudo="sudo --preserve-env"; \
	  $$sudo $(PYTHON) -m tests.support.other_aptly $(PYTEST) -n $(TEST_JOBS) tests/integration/pkgbuild

.PHONY: test-s3
test-s3: setup ## publish to a server that speaks S3, which is fetched for this alone
	@$(PYTEST) tests/s3/endpoint.py

.PHONY: bench-device
bench-device: setup ## what the agent costs a device: memory, wake-ups, writes, bytes, downtime (boots the virtual Pi)
	@$(PYTHON) -m benchmarks.device

.PHONY: bench-server
bench-server: setup ## what the server bears: heartbeats beside bare Flask and gooseBit, 1,000 to 1,000,000 devices (minutes)
	@$(PYTHON) -m benchmarks.server

.PHONY: bench-release
bench-release: setup ## what a release costs, beside dpkg-deb, debsigs and aptly by hand, with 10 to 1,000 releases (minutes)
	@$(PYTHON) -m benchmarks.release

.PHONY: bench-desk
bench-desk: setup ## what the operators' pages cost with 100,000 devices: time of each, bytes of a first visit (minutes)
	@$(PYTHON) -m benchmarks.desk

.PHONY: kill-server
kill-server: setup ## SIGKILL the server's worker or the whole server N=20 times under load: nothing acknowledged is lost
	@$(PYTHON) -m tests.killing --kills $(N)

.PHONY: kill-release
kill-release: setup ## SIGKILL `make release` N=20 times beside apt in a loop: nothing half, and the next one succeeds
	@$(PYTHON) -m tests.killing_releases --kills $(N) --seed $(SEED)

.PHONY: docs
docs: setup ## write what follows from the code: API.md, COMMANDS.md, SETTINGS.md, adr/README.md and some tables
	@$(PYTHON) -m docs.reference

.PHONY: lint
lint: setup ## ruff: rules and format
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .

.PHONY: types
types: setup ## mypy --strict
	@$(PYTHON) -m mypy

.PHONY: lock
lock: setup ## resolve the Python dependencies anew into requirements.lock
	@$(PYTHON) -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-emit-index-url --upgrade --extra dev --output-file requirements.lock pyproject.toml
	@sed 's/ *\\$$//' requirements.lock | $(PYTHON) -m uv pip compile --quiet --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-annotate --no-emit-index-url --constraint - --output-file requirements-server.lock pyproject.toml

.PHONY: vendor
vendor: setup ## bring what the pages use of others' scripts and icons (npm) into repo_server/desk/static/vendor
	@command -v npm > /dev/null || { echo "npm is missing; install it (apt-get install npm), it is needed for this alone" >&2; exit 1; }
	@cd repo_server/desk/vendor && npm ci --silent --no-audit --no-fund --ignore-scripts
	@$(PYTHON) repo_server/desk/vendor/copy.py

.PHONY: clean
clean: ## remove what make has made here: build, caches, the demo's state (not .venv)
	@sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; $$sudo rm -rf build .cache .pi-ota .mypy_cache .ruff_cache .pytest_cache
