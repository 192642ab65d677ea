# Every target may be run again at any time. `make` alone lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
DEVCLUSTER := python3 -m devcluster
VERSION := $(shell sed -n 's/^appVersion: "\(.*\)"/\1/p' charts/ringfence/Chart.yaml)

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

.PHONY: test test-long reviewable fmt lint types imports unit client-test chart-test sidecar-test starter-test cluster-test e2e quickstart pictures generate check-diff
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
		tests/cli tests/client tests/kube tests/operator tests/gateway tests/sidecar tests/conformance tests/devcluster \
		tests/tools tests/bench tests/gitops

client-test: ## Run the client library's tests that need no sidecar, beside nothing but what it needs; also on macOS and Windows
	@python3 -m tools.client_test

chart-test: ## Run the tests of the chart, its dashboards and its alerts; with Helm and promtool, which it builds
	@$(TEST) chart monitoring

sidecar-test: ## Run the tests of sidecar and client library against real back ends, which it installs
	@$(TEST) backends sidecar

starter-test: ## Check and test the programs that make a warm pod an agent's
	@$(TEST) go-vet-starter go-test-starter

cluster-test: ## Run the tests against the cluster's API server, node and network
	@$(TEST) cluster image cluster-test

e2e: ## Run the tests of the operator on the cluster
	@$(TEST) cluster image e2e

quickstart: ## Run every command of the quickstart on the cluster, which has to be up
	@$(TEST) quickstart

pictures: ## Draw the dashboards anew for the documentation, as a run on the cluster looks in them; needs Chromium
	$(BIN)/python -m tools.pictures

generate: ## Write CRDs, roles and reference pages from the models
	$(BIN)/python -m tools.generate

check-diff: ## Fail if a generated file is not what the models say
	$(BIN)/python -m tools.generate --check

## --- document and release -------------------------------------------------------------------------------------------

.PHONY: docs docs-pages docs-pictures docs-serve dist release-test release-check release-image release-chart release-packages
docs: ## Build the documentation into site/, and check every link of it
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@$(TEST) docs

docs-pages: ## Open every page of the site in Chromium as on a desktop and on a phone; fail if one cannot be read well there
	$(BIN)/python -m tools.pictures.site

docs-pictures: ## Make the documentation's pictures of its own pages anew
	$(BIN)/python -m tools.pictures.site --out docs/images/site / quickstart/ concepts/pools/ reference/agent-pool/

docs-serve: ## Show the documentation on http://127.0.0.1:8000 while it is written
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve

dist: ## Build packages, their bill of materials and the chart into dist/
	@$(BIN)/python -m tools.release dist

release-test: ## Check workflows, and what a release is made of
	@$(TEST) release

release-check: ## Fail unless $TAG is the version that everything says
	@$(BIN)/python -m tools.release check $(TAG)

release-image: ## Build $IMAGE for every platform and push it; needs Docker and a login
	@$(BIN)/python -m tools.release image $(IMAGE)

release-chart: ## Push the chart that `make dist` made; needs a login
	@$(BIN)/python -m tools.release chart

release-packages: ## Publish the packages that `make dist` made; works in the release workflow only
	@$(BIN)/python -m tools.release packages

## --- run ------------------------------------------------------------------------------------------------------------

.PHONY: demo image bench-operator bench-egress bench-sidecar bench-control bench-quota bench-client bench-upgrade bench-pools
demo: ## From nothing to agents at work on a real cluster, each promise checked
	@python3 -m demo

image: ## Build the images of operator, gateway, sidecar and starter and load them into the cluster, named as the chart names them
	@$(DEVCLUSTER) build --tag $(VERSION) operator gateway sidecar starter

bench-operator: setup ## Measure the operator; prints a table and keeps JSON in bench/out
	$(BIN)/python -m bench.operator

bench-egress: setup ## Measure the egress gateway; prints a table and keeps JSON in bench/out
	$(BIN)/python -m bench.egress

bench-sidecar: setup ## Measure the sidecar with real back ends, no cluster (bench-control has what needs one); likewise
	$(BIN)/python -m bench.sidecar

bench-control: setup ## Measure the control channel: under a flood, and from API server to call; prints a table and keeps JSON in bench/out
	$(BIN)/python -m bench.control; first=$$?; $(BIN)/python -m bench.control.on_cluster && exit $$first

bench-quota: setup ## Measure quotas: their counters, limits on a cluster, a large fleet; prints a table and keeps JSON in bench/out
	$(BIN)/python -m bench.quota; first=$$?; $(BIN)/python -m bench.quota.on_cluster && exit $$first

bench-client: setup ## Measure the client library; prints a table and keeps JSON in bench/out
	$(BIN)/python -m bench.client

bench-upgrade: setup ## Measure how a release comes, is upgraded under fifty agents, and goes; prints a table and keeps JSON in bench/out
	$(BIN)/python -m bench.upgrade

bench-pools: setup ## Measure claims of warm pods, on fake nodes and on a real one; prints a table and keeps JSON in bench/out
	$(BIN)/python -m bench.pools
