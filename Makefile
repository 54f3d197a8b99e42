# `make demo` runs the main job, `make test` passes the tests; each sets up all it needs.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3.11
SOURCE ?= auto
WORKERS ?= 2
# What `make test` looks at.
TESTS ?= tests
# The suites that play whole platforms, a folder of tests/platforms/ each, the longest first; and what needs a trained model.
PLATFORM := conformance services runbook browser gitops promotion fork lineage
MODELS := tests/project tests/zenml_mlops
UV := $(shell command -v uv 2>/dev/null || echo .venv-uv/bin/uv)
RUN := $(UV) run --frozen --no-sync
PYTEST := $(RUN) pytest -p no:nbmake -n $(WORKERS) --dist loadscope --no-loadscope-reorder
# Version 1 is `make COMPOSE=docker-compose ...`.
COMPOSE ?= docker compose
SECRETS_DIR = $(shell sed -n 's/^SECRETS_DIR=//p' .env 2>/dev/null)
IMAGE_TAG ?= $(shell sed -n 's/^IMAGE_TAG=//p' .env 2>/dev/null)
SBOM_GROUPS := image-airflow image-mlflow image-pipeline
export GIT_COMMIT ?= $(shell git rev-parse HEAD 2>/dev/null)
export LOCK_DIGEST ?= $(shell sha256sum uv.lock 2>/dev/null | cut -d' ' -f1)

.PHONY: help setup demo test test-fast test-platform test-bench chromium notebooks bench check docs screenshots \
	up down status logs password clean lock format \
	version packages images sbom compose-secrets compose-up compose-down compose-test

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | while IFS=$$'\t' read -r t d; do printf '  %-16s %s\n' "$$t" "$$d"; done

.venv-uv/bin/uv:
	@command -v $(PYTHON) >/dev/null || { echo "Error: $(PYTHON) is missing: install Python 3.11, or name it with PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv .venv-uv
	.venv-uv/bin/python -m pip install --quiet 'uv>=0.9,<1'

setup: .venv/locked ## Install the locked environment into .venv

.venv/locked: uv.lock pyproject.toml $(wildcard packages/*/pyproject.toml) | $(if $(findstring .venv-uv,$(UV)),.venv-uv/bin/uv)
	@command -v git >/dev/null || { echo "Error: git is missing: install it." >&2; exit 1; }
	@$(UV) sync --frozen --quiet --compile-bytecode || { echo "Error: the locked packages cannot be installed; is a package index reachable?" >&2; exit 1; }
	@touch $@

demo: setup ## Train, gate, promote and backfill daily batch inference in a real Airflow
	@$(RUN) mlops demo --source '$(SOURCE)'

test: setup ## Run the tests: all that is fast, and the main job in a real Airflow
	$(PYTEST) $(TESTS) --ignore=tests/platforms -m 'not (bench or trained)'

test-fast: setup ## Run what needs neither a process of Airflow nor a trained model
	$(PYTEST) $(TESTS) --ignore=tests/platforms -m 'not (bench or airflow or trained)'

# The first suite keeps twelve tasks at a time and judges seconds: it has the machine for itself.
test-platform: setup chromium ## Play whole platforms, and all that trains models; `make test-NAME` runs one suite
	@$(MAKE) --no-print-directory test-conformance
	@$(MAKE) --no-print-directory --keep-going -j 2 --output-sync=target --old-file=chromium $(patsubst %,test-%,$(filter-out conformance,$(PLATFORM))) test-models

test-models: setup ## Run what needs a trained model
	$(PYTEST) $(MODELS) -m trained

test-bench: setup ## Run each benchmark once, in small
	$(RUN) pytest tests/project/benchmarks -m bench

# One of $(PLATFORM), in a process of its own: its platform is gone before another begins.
test-%: setup
	$(RUN) pytest tests/platforms/$*

test-browser: chromium
chromium: setup
	@$(RUN) python tests/platforms/browser/chromium.py

# The kernel is the locked environment's, whatever else Jupyter knows of; IPython would write into the home.
notebooks: setup ## Run the notebooks, each on a store of its own
	JUPYTER_PATH='$(CURDIR)/.venv/share/jupyter' IPYTHONDIR='$(CURDIR)/.venv/share/ipython' \
		$(RUN) pytest --nbmake --timeout 600 notebooks/*.ipynb

bench: setup ## Measure the bridge against stock ZenML and plain Airflow; writes benchmarks/results.md
	$(RUN) python -m benchmarks

check: setup ## Lint, format, types, import walls, files of GitHub and GitLab
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(RUN) lint-imports
	$(RUN) check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(RUN) check-jsonschema --builtin-schema vendor.github-actions .github/actions/*/action.yml
	$(RUN) check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(RUN) check-jsonschema --builtin-schema vendor.github-issue-forms $(filter-out %/config.yml,$(wildcard .github/ISSUE_TEMPLATE/*.yml))
	$(RUN) check-jsonschema --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	$(RUN) pre-commit validate-config
	$(RUN) check-jsonschema --builtin-schema vendor.gitlab-ci .gitlab-ci.yml
	$(RUN) zizmor --quiet --offline --persona pedantic --config .github/zizmor.yml .github

docs: setup ## Build the documentation site into build/site; a broken link or a page outside of the navigation fails
	NO_MKDOCS_2_WARNING=1 $(RUN) mkdocs build --strict --quiet

screenshots: setup ## Renew docs/images from a demo and from the browser tests (needs Chromium; root on Debian installs it)
	@REQUIRE_SERVICES=1 $(RUN) python tests/platforms/browser/chromium.py
	$(RUN) python docs/take_screenshots.py '$(SOURCE)'
	WRITE_SCREENSHOTS=1 $(RUN) pytest tests/platforms/browser

format: setup ## Format the code
	$(RUN) ruff format .
	$(RUN) ruff check --fix .

up: setup ## Start Airflow and MLflow on loopback
	@$(RUN) mlops up

down: setup ## Stop every process that was started
	@$(RUN) mlops down

status: setup ## Show services, environments, DAGs, models and the last partition
	@$(RUN) mlops status

logs: setup ## Print the end of the services' logs
	@$(RUN) mlops logs

password: setup ## Print the password of the local Airflow user admin
	@$(RUN) mlops password

clean: ## Stop the services and remove everything a local run wrote
	@if [ -x .venv/bin/mlops ]; then .venv/bin/mlops down; fi
	rm -rf .state build/site .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

images: .env ## Build the project's images from the checkout
	$(COMPOSE) build
	docker build --file docker/pipeline/Dockerfile --tag zenml-on-airflow/pipeline:$(or $(IMAGE_TAG),dev) \
		--build-arg GIT_COMMIT --build-arg LOCK_DIGEST .

sbom: setup ## Write the images' bills of materials (CycloneDX, from the locks) to dist/sbom
	@mkdir -p dist/sbom
	@for group in $(SBOM_GROUPS); do \
		$(UV) export --quiet --frozen --preview-features sbom-export --format cyclonedx1.5 --only-group $$group \
			--no-emit-project --output-file dist/sbom/$$group.json >/dev/null || exit 1; done
	@$(UV) run --frozen --isolated --only-group sbom cyclonedx-py requirements docker/zenml-server/requirements.txt --output-file dist/sbom/image-zenml-server.json
	@ls dist/sbom

.env:
	@echo "Error: .env is missing: copy .env.example and edit it." >&2; exit 1

compose-secrets: .env setup ## Generate the compose file's secrets, those that are missing
	@$(RUN) python docker/compose/generate_secrets.py generate '$(SECRETS_DIR)'

compose-up: .env setup ## Start the whole platform in containers
	@$(RUN) python docker/compose/generate_secrets.py check '$(SECRETS_DIR)'
	$(COMPOSE) up -d

compose-down: .env ## Stop the containers; the volumes stay
	$(COMPOSE) down

compose-test: setup ## Train and score a day through two Celery workers, in containers of its own
	COMPOSE='$(COMPOSE)' $(RUN) pytest tests/project/docker/smoke_compose.py

lock: setup ## Resolve the dependencies again
	$(UV) lock

version: setup ## Change the version of both packages, as in make version V=0.2.0
	@$(RUN) python .ci/version.py set '$(V)'
	@$(UV) lock --quiet

packages: $(if $(findstring .venv-uv,$(UV)),.venv-uv/bin/uv) ## Build both packages' wheels and source distributions into dist/packages
	rm -rf dist/packages
	$(UV) build --quiet --package airflow-provider-zenml --out-dir dist/packages
	$(UV) build --quiet --package zenml-airflow-mlops --out-dir dist/packages
