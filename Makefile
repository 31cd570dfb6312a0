# Every command of the project; `make` without a target lists them. Each target first runs the setup.
PYTHON = python3
# Only variables on make's own command line count: an exported one could deploy only one worker, or
# remove files without asking. A variable becomes a quoted argument, never part of a program.
given = $(if $(filter command line,$(origin $(1))),$(value $(1)))
quoted = '$(subst ','\'',$(1))'
option = $(if $(call given,$(2)),$(1) $(call quoted,$(call given,$(2))))
envs = $(foreach env,$(call given,ENV),$(call quoted,$(env)))
flag = $(if $(call given,$(2)),$(1))
# The Python and Node of the project come before those of the system, also for programs that wrangler starts.
RUN = PATH="$(CURDIR)/.venv/bin:$$PATH"

.DEFAULT_GOAL := help
.PHONY: help setup lint test test-fast thorough sim sim-deliveries mutants demo dev bench schema catalogue new-job new-worker clean dry-run weigh deploy audit pictures cost

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install Python packages, Node, wrangler, PostgreSQL; skips what is installed
	@"$(PYTHON)" -m tools.setup $(if $(filter setup,$(MAKECMDGOALS)),,--quiet)

lint: setup ## Check style and types
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(RUN) mypy --python-version 3.14 $$(find mauntic/local/in_python -name '*.py')
	$(RUN) python -m mauntic.docs_gen.catalogue --check

test: lint ## Run every check: style, types, tests
	$(RUN) pytest --numprocesses 2 --dist loadgroup

test-fast: setup ## Run the unit, property and SQL tests of shared/ and workers/: no local runtime, no simulator
	$(RUN) pytest --numprocesses 2 --dist loadgroup -m "not e2e" tests/shared tests/workers tests/test_*.py

thorough: lint ## Run `make test` with several times as many random examples, new ones each time
	MAUNTIC_TESTS=thorough $(RUN) pytest --numprocesses 2 --dist loadgroup

sim: setup ## Simulate two weeks with faults: SEEDS=1000, or SEED=123 to replay one
	$(RUN) python -m tests.sim $(or $(call option,--seeds,SEEDS),--seeds 100) $(call option,--seed,SEED) $(call option,--days,DAYS)

sim-deliveries: setup ## The same for messages, consumers and providers of deliveries
	$(RUN) python -m tests.sim.deliveries $(or $(call option,--seeds,SEEDS),--seeds 100) $(call option,--seed,SEED) $(call option,--days,DAYS)

mutants: setup ## Change the code at random and check that tests fail: COUNT=200 SEED=0, or FILE=shared/retry.py; QUICK=1
	$(RUN) .local/tools/bin/uv run --quiet --frozen --no-build --group mutants python -m tests.mutants $(call option,--count,COUNT) $(call option,--seed,SEED) $(call option,--file,FILE) $(call flag,--quick,QUICK)

demo: setup ## Run the whole system once with sample data, and show the results
	@$(RUN) mauntic demo

dev: setup ## Run the whole system locally until Ctrl-C
	@$(RUN) mauntic dev

bench: setup ## Run the benchmarks, each compared with its reference; ONLY=hourly for one
	@$(RUN) .local/tools/bin/uv run --quiet --frozen --no-build --group bench python -m bench $(call option,--only,ONLY)

schema: setup ## Write schema.sql from the migrations
	@$(RUN) python -m mauntic.database.migrations dump > .local/schema.sql
	@mv .local/schema.sql schema.sql

catalogue: setup ## Update the files generated from the code: pages, schemas, wrangler.toml
	@$(RUN) python -m mauntic.docs_gen.catalogue --write

new-job: setup ## Create a job: TYPE=analytics.count-events CRON="0 4 * * *"; DRY_RUN=1 lists the files
	@$(RUN) python -m tools.new_job $(call quoted,$(call given,TYPE)) $(call option,--cron,CRON) $(call flag,--dry-run,DRY_RUN)

new-worker: setup ## Create a worker with a job: NAME=deliveries-demo CRON="0 4 * * *"; DRY_RUN=1 lists the files
	@$(RUN) python -m tools.new_worker $(call quoted,$(call given,NAME)) $(call option,--cron,CRON) $(call flag,--dry-run,DRY_RUN)

clean: ## Delete the files of setup and runs, and the local database; DRY_RUN=1 lists them, YES=1 does not ask
	@"$(PYTHON)" -m tools.clean $(call flag,--dry-run,DRY_RUN) $(call flag,--yes,YES)

dry-run: setup ## Bundle and weigh every worker without deploying it
	@$(RUN) python -m tools.weigh $(call envs)

weigh: setup ## Show the size of an upload, its largest parts, and the start time of a worker
	@$(RUN) python -m tools.weigh --boot $(call envs)

deploy: setup ## Check, migrate and deploy: all workers, or ENV=analytics
	@$(RUN) python -m tools.deploy $(call envs)

audit: setup ## Report known vulnerabilities of the pinned packages; fails if no service could be reached
	@$(RUN) python -m tools.audit $(call option,--python,PYTHON_URL) $(call option,--node,NODE_URL)

pictures: setup ## Draw the README's pictures from the output of the commands
	@$(RUN) python -m tools.pictures

cost: setup ## Write docs/cost.md
	@$(RUN) python -m tools.cost > .local/cost.md
	@mv .local/cost.md docs/cost.md
