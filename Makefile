# The two commands of a new user are `make demo` and `make test`; both set up .venv first.
PYTHON ?= python3
# The Python that the wheel is installed into.
WHEEL_PYTHON ?= $(PYTHON)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --constraint constraints.txt

.PHONY: demo test lint wheel ci bench clean

# The build tools come first: without build isolation they, too, are the versions of constraints.txt.
$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) torch hatchling editables
	$(PIP) --no-build-isolation -e ".[test]"
	@touch $@

demo: $(VENV)/.ready
	$(BIN)/facelume reconstruct examples/astronaut.png --out demo_result --overwrite
	@echo "Look at demo_result/astronaut/preview.png first; mesh.glb is the face, albedo.png its texture."

# As in the command line: waiting threads sleep soon, since spinning ones cost several times the work where
# others share the cores.
test: export GOMP_SPINCOUNT ?= 1000
# One process of one thread for each core, at most eight.
test: export OMP_NUM_THREADS ?= 1
test: $(VENV)/.ready
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 8

# Style, and strict types over src, tools, examples and benchmarks.
lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Source archive and wheel; the wheel is tried as a user gets it: alone, in a new environment, elsewhere.
wheel: $(VENV)/.ready
	rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist
	$(BIN)/python tools/check_wheel.py dist/*.whl --python $(WHEEL_PYTHON)

# What continuous integration runs.
ci:
	bash .ci/run

bench: $(VENV)/.ready
	$(BIN)/python benchmarks/speed.py

clean:
	rm -rf $(VENV) demo_result dist
