# fleetcert: one command each. `make` alone lists them.
# Needs python3 >= 3.11 with pip and venv, and package registries. uv, Python 3.13, Node and Azurite are set up here.

DEVICES ?= 25
VENV := .venv
BIN := $(VENV)/bin
CHARTS := functions/static/chart.umd.min.js
UV := $(shell command -v uv 2>/dev/null || echo .tools/bin/uv)
COMPILE := $(UV) pip compile --quiet --generate-hashes --python-version 3.13 \
	--python-platform x86_64-manylinux_2_28 --no-emit-index-url --only-binary :all: --no-binary paho-mqtt \
	--custom-compile-command "make lock"

.DEFAULT_GOAL := help
.PHONY: help setup up demo test bench check package screenshots lock clean

help: ## List the commands
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /make \1\t/' | expand -t 20

setup: $(VENV)/.ready $(CHARTS) ## Set everything up: .venv with fleetcert in it, Azurite and Chart.js from npm

up: setup ## Run the local Azure with the app until Ctrl-C
	@$(BIN)/fleetcert local up

demo: setup ## Run the whole life of a simulated fleet and check every claim (DEVICES=25)
	@$(BIN)/fleetcert local demo --devices $(DEVICES)

test: setup ## Run all tests: unit, component, e2e
	@$(BIN)/python -m pytest tests/unit tests/component tests/e2e

bench: setup ## Measure what is fast against named alternatives; about seven minutes
	@$(BIN)/python -m bench

check: setup ## Lint, types and the directions of imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@PATH="$$PATH:$$PWD/$(BIN)" node node_modules/typescript/bin/tsc -p jsconfig.json

package: setup ## Build dist/app.zip, what Azure Functions deploys
	@$(BIN)/fleetcert package dist/app.zip

screenshots: setup ## Make the pictures of the dashboard in docs/images; wants Chromium
	@$(BIN)/python tests/screenshots.py docs/images

lock: .tools/ready ## Resolve the dependencies of pyproject.toml again, with hashes
	$(COMPILE) --group build -o requirements-build.txt
	$(COMPILE) --upgrade pyproject.toml -o requirements.txt
	$(COMPILE) pyproject.toml --group dev -c requirements.txt -o requirements-dev.txt
	$(COMPILE) --group node -o requirements-node.txt

clean: ## Remove what setup and runs have made
	rm -rf $(VENV) .tools .local node_modules dist
	rm -f functions/static/chart.*

.tools/ready:
	@[ "$$(uname -m)" = x86_64 ] || { echo "fleetcert needs x86_64: uamqp, which azure-iot-hub uses, has no wheel for \
	$$(uname -m). Use an x86_64 machine or container."; exit 1; }
	@[ -x "$$(command -v $(UV))" ] || { echo "installing uv into .tools"; python3 -m venv .tools && \
	.tools/bin/pip install --quiet --disable-pip-version-check uv; }
	@mkdir -p .tools && touch $@

$(VENV)/.ready: .tools/ready pyproject.toml requirements-build.txt requirements-dev.txt
	@echo "installing Python 3.13 and the packages into $(VENV)"
	@$(UV) venv --quiet --allow-existing --python 3.13 $(VENV)
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements-build.txt
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes --no-build-isolation -r requirements-dev.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

node_modules/.ready: $(VENV)/.ready package.json package-lock.json requirements-node.txt
	@node --version 2>/dev/null | grep -qE '^v(2[0-9]|[3-9][0-9])\.' || { echo "installing Node into $(VENV)"; \
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements-node.txt; }
	@echo "installing Azurite and Chart.js into node_modules"
	@PATH="$$PATH:$$PWD/$(BIN)" npm ci --silent --no-audit --no-fund --ignore-scripts
	@touch $@

$(CHARTS): node_modules/.ready fleetcert/cli/chart_library.py
	@$(BIN)/python -m fleetcert.cli.chart_library
