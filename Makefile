# Every target may be run again at any time. `make` alone lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
DEVCLUSTER := python3 -m devcluster

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /\1\t/' | expand -t 16

## --- set up ---------------------------------------------------------------------------------------------------------

.PHONY: setup
setup: ## Install what development needs into .venv, as locked
	@python3 -m tools.bootstrap

## --- the cluster ----------------------------------------------------------------------------------------------------

.PHONY: up down status
up: ## Bring the development cluster up, or repair it ($RINGFENCE_CLUSTER names it)
	@$(DEVCLUSTER) up

down: ## Take it down; nothing stays behind
	@$(DEVCLUSTER) down

status: ## Say what runs
	@$(DEVCLUSTER) status

## --- check ----------------------------------------------------------------------------------------------------------

TEST := python3 -m tools.test_runner
BIN := .venv/bin

.PHONY: test test-long reviewable fmt lint types imports unit sidecar-test cluster-test e2e generate check-diff
test: ## Run every check and every test, on the real cluster, too
	@$(TEST)

test-long: ## Run the kill loops, and Kubernetes' own specs of NetworkPolicy
	@$(TEST) --long

reviewable: setup fmt generate lint types imports unit ## Make a change ready for review

fmt: ## Format, and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: ## Check style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: ## Check types
	$(BIN)/mypy

imports: ## Check who imports whom
	$(BIN)/lint-imports

unit: ## Run the tests that need no cluster
	$(BIN)/pytest -q -n 2 --dist loadfile -m 'not cluster and not long and not backend' \
		tests/operator tests/gateway tests/sidecar tests/conformance tests/devcluster tests/tools tests/bench

sidecar-test: ## Run the sidecar's tests against real back ends, which it installs
	@$(TEST) backends sidecar

cluster-test: ## Run the tests against the cluster's API server, node and network
	@$(TEST) cluster image cluster-test

e2e: ## Run the tests of the operator on the cluster
	@$(TEST) cluster image e2e

generate: ## Write CRDs, roles and reference pages from the models
	$(BIN)/python -m tools.generate

check-diff: ## Fail if a generated file is not what the models say
	$(BIN)/python -m tools.generate --check

## --- run ------------------------------------------------------------------------------------------------------------

.PHONY: demo image bench-operator bench-egress bench-sidecar bench-control bench-quota
demo: ## From nothing to agents at work on a real cluster, each promise checked
	@python3 -m demo

image: ## Build the images of operator, gateway and sidecar and load them into the cluster
	@$(DEVCLUSTER) build operator gateway sidecar

bench-operator: setup ## Measure the operator; prints a table and keeps JSON in bench/out
	$(BIN)/python -m bench.operator

bench-egress: setup ## Measure the egress gateway; prints a table and keeps JSON in bench/out
	$(BIN)/python -m bench.egress

bench-sidecar: setup ## Measure the sidecar with real back ends, no cluster; prints a table and keeps JSON in bench/out
	$(BIN)/python -m bench.sidecar

bench-control: setup ## Measure the control channel, also under a flood; prints a table and keeps JSON in bench/out
	$(BIN)/python -m bench.control

bench-quota: setup ## Measure quotas: their counters, limits on a cluster, a large fleet; prints a table and keeps JSON in bench/out
	$(BIN)/python -m bench.quota; first=$$?; $(BIN)/python -m bench.quota.on_cluster && exit $$first
