# Everything a newcomer needs: `make run` shows what it does, `make test` proves it.
.PHONY: run test bench lint format setup

run: setup ## build, and work off a busy day on a private PostgreSQL
	swift build -c release --product stockq
	.build/release/stockq demo

test: setup ## the whole suite, against private PostgreSQL clusters
	swift test -c release

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
