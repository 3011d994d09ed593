# `make` alone prints the targets. Start with `make run` (a demo) and `make test` (the proof).
.DEFAULT_GOAL := help
.PHONY: help run install deb test check-api soak tsan asan fuzz bench bench-http lint format setup setup-tests

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: setup ## build, then run a demo: one simulated day of 100,000 jobs on a private PostgreSQL
	swift build -c release --product stockq
	.build/release/stockq demo

PREFIX ?= /usr/local
PROGRAM ?= .build/release/stockq
share = $(DESTDIR)$(PREFIX)/share
install: ## install the program, completions, manual page and units for systemd below PREFIX (/usr/local); build it first
	@[ -x $(PROGRAM) ] || { echo 'run: swift build -c release --product stockq'; exit 1; }
	install -D -m 755 $(PROGRAM) $(DESTDIR)$(PREFIX)/bin/stockq
	install -d $(share)/man/man1 $(share)/bash-completion/completions $(share)/zsh/site-functions \
		$(share)/fish/vendor_completions.d $(DESTDIR)$(PREFIX)/lib/systemd/system
	$(PROGRAM) man >$(share)/man/man1/stockq.1
	$(PROGRAM) completions bash >$(share)/bash-completion/completions/stockq
	$(PROGRAM) completions zsh >$(share)/zsh/site-functions/_stockq
	$(PROGRAM) completions fish >$(share)/fish/vendor_completions.d/stockq.fish
	for unit in run serve dashboard; do \
		sed 's|/usr/local/bin/stockq|$(PREFIX)/bin/stockq|' docs/operating/systemd/stockq-$$unit.service \
			>$(DESTDIR)$(PREFIX)/lib/systemd/system/stockq-$$unit.service && \
		chmod 644 $(DESTDIR)$(PREFIX)/lib/systemd/system/stockq-$$unit.service || exit 1; \
	done

deb: setup ## a Debian package in .build, with Swift's runtime in the program
	swift build -c release --product stockq --static-swift-stdlib --scratch-path .build/static
	scripts/make-deb .build/static/release/stockq .build

test: setup-tests ## the whole suite on private PostgreSQL servers; fault tests run separately, they saturate the machine
	swift test -c release --skip FaultTests
	swift test -c release --skip-build --filter FaultTests

EXAMPLES ?= 400
check-api: setup-tests ## schemathesis over the native API, with up to EXAMPLES examples an operation and phase
	swift build -c release --build-tests
	STOCKQ_API_EXAMPLES=$(EXAMPLES) swift test -c release --skip-build --filter NativeConformanceTests

SECONDS ?= 60
SEED ?=
WITHOUT ?=
soak: setup-tests ## every fault at every point, more random data, beside a gateway, the suite through PgBouncer, then random faults for SECONDS
	swift build -c release --build-tests
	STOCKQ_FAULTS=all swift test -c release --skip-build --filter FaultTests
	STOCKQ_FAULTS=all swift test -c release --skip-build --filter 'PropertyTests|Count|Replay|OpenTransaction'
	STOCKQ_GATEWAY=1 swift test -c release --skip-build --filter FaultTests
	STOCKQ_POOLED=1 swift test -c release --skip-build --filter StockQueueTests
	STOCKQ_SOAK_SECONDS=$(SECONDS) $(if $(SEED),STOCKQ_SEED=$(SEED)) $(if $(WITHOUT),STOCKQ_SOAK_WITHOUT=$(WITHOUT)) \
		swift test -c release --skip-build --filter Soak

# A sanitizer makes everything slower: fewer jobs for the single-threaded property test, more time for scheduled jobs.
sanitized = STOCKQ_SANITIZED=1 STOCKQ_DECIDED_JOBS=5000 STOCKQ_SECONDS_LATE=10
tsan: setup-tests ## the whole suite under ThreadSanitizer
	$(sanitized) TSAN_OPTIONS=atexit_sleep_ms=0 \
		swift test -c release --sanitize=thread --scratch-path .build/tsan -Xswiftc -DTHREAD_SANITIZER

asan: setup-tests ## the whole suite under AddressSanitizer, including its leak check
	$(sanitized) LSAN_OPTIONS=suppressions=$(CURDIR)/scripts/leaks.supp:print_suppressions=0 \
		swift test -c release --sanitize=address --scratch-path .build/asan

fuzz: setup ## run each fuzz target for SECONDS
	scripts/fuzz $(SECONDS)

bench: setup ## measure stockq beside a baseline and an upper bound; about half an hour
	swift build -c release --product stockq
	swift build -c release --product stockq-bench
	.build/release/stockq-bench --json docs/performance/bench.json --svg docs/performance/bench.svg

bench-http: ## measure the HTTP gateway with wrk; about eight minutes
	@scripts/setup bench
	swift build -c release --product stockq
	swift build -c release --product stockq-bench
	.build/release/stockq-bench --only http --json docs/performance/bench-http.json

lint: ## check formatting, docker-compose.yml, documentation and wording
	swift format lint --strict --recursive Package.swift Plugins Sources Tests migrations
	scripts/check-compose
	scripts/check-docs
	scripts/check-words

format: ## format all Swift files
	swift format --in-place --recursive Package.swift Plugins Sources Tests migrations

setup: ## install the missing Debian packages
	@scripts/setup

setup-tests: ## install the missing Debian packages, including those that only tests need
	@scripts/setup tests
