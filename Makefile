# Everything a newcomer needs: `make run` shows what it does, `make test` proves it.
.PHONY: run test soak tsan asan fuzz bench lint format setup setup-tests

run: setup ## build, and work off a busy day on a private PostgreSQL
	swift build -c release --product stockq
	.build/release/stockq demo

test: setup-tests ## the whole suite, against private PostgreSQL clusters; faults apart, since they take the machine down
	swift test -c release --skip FaultTests
	swift test -c release --skip-build --filter FaultTests

SECONDS ?= 60
SEED ?=
soak: setup-tests ## every fault at every point, the suite through PgBouncer, then all faults at random for SECONDS
	swift build -c release --build-tests
	STOCKQ_FAULTS=all swift test -c release --skip-build --filter FaultTests
	STOCKQ_POOLED=1 swift test -c release --skip-build --filter StockQueueTests
	STOCKQ_SOAK_SECONDS=$(SECONDS) $(if $(SEED),STOCKQ_SEED=$(SEED)) \
		swift test -c release --skip-build --filter Soak

# Under a sanitizer all is slower: fewer jobs for the property test that has one thread, more time where a time is promised.
sanitized = STOCKQ_SANITIZED=1 STOCKQ_DECIDED_JOBS=5000 STOCKQ_SECONDS_LATE=10
tsan: setup-tests ## the whole suite under ThreadSanitizer
	$(sanitized) TSAN_OPTIONS=atexit_sleep_ms=0 \
		swift test -c release --sanitize=thread --scratch-path .build/tsan -Xswiftc -DTHREAD_SANITIZER

asan: setup-tests ## the whole suite under AddressSanitizer, which also looks for leaks
	$(sanitized) LSAN_OPTIONS=suppressions=$(CURDIR)/.ci/leaks.supp:print_suppressions=0 \
		swift test -c release --sanitize=address --scratch-path .build/asan

fuzz: setup ## each fuzz target for SECONDS
	.ci/fuzz $(SECONDS)

bench: setup ## measure, side by side with a baseline and a ceiling; about a quarter of an hour
	swift build -c release --product stockq
	.build/release/stockq bench --json docs/bench.json --svg docs/bench.svg

lint: ## format and docker-compose.yml
	swift format lint --strict --recursive Package.swift Sources Tests migrations
	.ci/check-compose

format:
	swift format --in-place --recursive Package.swift Sources Tests migrations

setup: ## install what is missing, by name
	@.ci/setup

setup-tests: ## the same, and what only tests need
	@.ci/setup tests
