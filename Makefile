# Every target may be run again at any time. `make` alone lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
DEVCLUSTER := python3 -m devcluster

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

## --- set up ---------------------------------------------------------------------------------------------------------

.PHONY: setup
setup: ## Install what development needs into .venv, as locked
	@command -v uv >/dev/null || { echo 'make setup: install uv first, for example with `pipx install uv`'; exit 1; }
	uv sync --frozen

## --- the cluster ----------------------------------------------------------------------------------------------------

.PHONY: up down status
up: ## Bring the development cluster up, or repair it ($RINGFENCE_CLUSTER names it)
	@$(DEVCLUSTER) up

down: ## Take it down; nothing stays behind
	@$(DEVCLUSTER) down

status: ## Say what runs
	@$(DEVCLUSTER) status

## --- check ----------------------------------------------------------------------------------------------------------

## --- run ------------------------------------------------------------------------------------------------------------
