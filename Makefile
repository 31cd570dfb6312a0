# Everything that can be done here; `make` alone shows the table. Each target sets up what is missing.
PYTHON ?= python3
# Our Python and our Node before the system's, also for what wrangler starts.
RUN = PATH="$(CURDIR)/.venv/bin:$$PATH"

.DEFAULT_GOAL := help
.PHONY: help setup lint test demo dev bench schema clean

help: ## This table
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Fetch Python packages, Node, wrangler, PostgreSQL; costs nothing when all is there
	@$(PYTHON) -m tools.setup $(if $(filter setup,$(MAKECMDGOALS)),,--quiet)

lint: setup ## Style and types
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(RUN) mypy --python-version 3.14 $$(find local/inside -name '*.py')

test: lint ## Everything that must hold: style, types, tests
	$(RUN) pytest

demo: setup ## Run the whole system once, with sample data, and show what it did
	@$(RUN) mauntic demo

dev: setup ## Run the whole system locally until Ctrl-C
	@$(RUN) mauntic dev

bench: setup ## Measure, each thing against its reference
	@$(RUN) python -m bench

schema: setup ## Write schema.sql anew from the migrations
	@$(RUN) python -m local.migrations dump > .local/schema.sql
	@mv .local/schema.sql schema.sql

clean: ## Remove all that set-up and runs have made, the local database included
	@$(PYTHON) -m tools.clean
