# `make demo` runs the main job, `make test` passes the tests; each makes the environment it needs.
# On 2 cores `make test-fast` takes 2 minutes, `make test` 15.
PYTHON ?= python3.11
BIN := .venv/bin

.PHONY: setup demo test test-fast test-versions check lint docs dist bench measure gpu selector soak clean

setup: .venv/.ready

# The lock of what is tested is constraints.txt; without it pip would pull a newer, far larger torch.
.venv/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[profiling,notebooks,docs,dev]'
	touch $@

demo: setup
	$(BIN)/placement demo

test: setup
	$(BIN)/python -m pytest --numprocesses 2 --dist loadscope --no-loadscope-reorder

# The pure core, the types, and one task placed on each device of a Ray cluster.
test-fast: setup
	$(BIN)/python -m pytest tests/core tests/typing \
		tests/ray/test_loop.py::test_a_large_task_gets_a_gpu_and_a_small_one_does_not

# A subset on the newest release of each supported minor version of Ray and on other Pythons, in environments of their own.
test-versions:
	$(PYTHON) tests/versions/run.py

check: lint test

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The pages, into site/: strict, so that a broken link or a name that is gone fails. The variable silences an
# advertisement for the theme's successor; constraints.txt pins the versions that work.
docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# The wheel and the source distribution, into dist/.
dist: setup
	rm -rf build dist
	$(BIN)/python -m build

bench: setup
	$(BIN)/placement bench

# On a machine with an NVIDIA GPU: its measured rows for every table.
measure: setup
	$(BIN)/python -m profiling.cli.measure_here

# On a machine with an NVIDIA GPU: all that only such a machine can show, within fifteen minutes.
gpu: setup
	$(BIN)/python tests/gpu/run.py

# The selector that is shipped: fitted to the full grid of presets on A-D, emulated, and to the published measurements in
# the folder that PLACEMENT_DATA names.
selector: setup
	$(BIN)/python -m profiling.learning.fit_shipped -o placement/data/selector.json

soak: setup
	$(BIN)/python -m pytest -m soak

clean:
	rm -rf .venv .venvs out build dist site
