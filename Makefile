# Needs python3 (3.11 or newer) and make. Everything else goes into .venv.
#   make PYTHON=python3.13 demo   picks the Python
#   make lock upgrade=1           also moves the locked packages to their newest releases

BIN := .venv/bin
STAMPS := .venv/.tools .venv/.runtime .venv/.dev
COMPILE = $(BIN)/uv pip compile --quiet --system-certs --universal --python-version 3.11 --generate-hashes --no-annotate \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(if $(upgrade),--upgrade)

export PYTHON
# The tests start hundreds of Python processes, each of which would compile everything it imports.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test check bench lock clean
.DELETE_ON_ERROR:

# A .venv that lost its Python, or that was moved here with its folder, is built anew.
ifeq ($(shell test -x $(BIN)/python && grep -sF '$(CURDIR)/.venv' $(BIN)/activate),)
.PHONY: $(STAMPS)
endif

help: ## List what make can do
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1|\2/p' Makefile | awk -F '|' '{ printf "make %-7s %s\n", $$1, $$2 }'

demo: .venv/.runtime ## Install OrgLoop into .venv and show it at work
	@$(BIN)/orgloop demo

# Tests side by side; `make test parallel=` runs them one after the other.
parallel = -n auto --dist worksteal

test: check ## Check, then run every test that needs nothing from outside
	$(BIN)/pytest $(parallel)

check: .venv/.dev ## Check lint, format, types and floors
	@$(BIN)/uv pip check --quiet --python $(BIN)/python
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

bench: .venv/.dev ## Measure speed and memory
	$(BIN)/pytest -m bench -s
	$(BIN)/python -m bench

lock: .venv/.tools ## Fit the locked packages to pyproject.toml
	$(COMPILE) pyproject.toml --group dev --group tools -o requirements/dev.txt
	$(COMPILE) pyproject.toml -c requirements/dev.txt -o requirements/runtime.txt
	$(COMPILE) --group tools -c requirements/dev.txt -o requirements/tools.txt

clean: ## Remove what was built, downloaded or left by tools
	rm -rf .venv .cache build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMPS): .venv/.%: requirements/%.txt requirements/tools.txt pyproject.toml scripts/venv
	@sh scripts/venv $*
