# Two commands: `make results` and `make test`. Each builds .venv from requirements.lock first, once.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.PHONY: results test environment lint reference docs ground-truth benchmarks slurm-trace kill-trace clean

PYTHON ?= python3
CORES ?= all
# Where pip finds torch. Empty: the platform's default build (on Linux with a GPU, that is a CUDA build).
# See docs/installation.md for how to ask for a particular CUDA version or for the small CPU build.
TORCH_INDEX ?=
VENV := .venv
BIN := $(VENV)/bin

results: environment
	$(BIN)/snakemake --cores $(CORES)

test: environment
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/mypy
	$(BIN)/snakemake --lint
	$(BIN)/pytest -m "not slow" -n 2 --dist loadfile --no-loadscope-reorder

lint: environment
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow
	$(BIN)/mypy

# config.yaml, the JSON schema and the reference pages, made again from the typed model and the table schemas.
reference: environment
	$(BIN)/python docs/tools/write.py

# The pages in docs/ as a site in site/; what is wrong in them is an error.
docs: environment
	$(BIN)/mkdocs build --quiet --strict

# Every instrument on data whose answer is known: seventy minutes on two cores, written to docs/.
ground-truth: environment
	for name in effects behaviour clouds solids; do $(BIN)/python validation/measure_$$name.py; done
	$(BIN)/python validation/ground_truth_page.py

# Throughput against other people's code, and what it costs to grow: half an hour on a quiet machine, written to docs/.
# Needs the results of the default experiment.
benchmarks: environment
	$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --upgrade --target benchmarks/.packages \
		--requirement benchmarks/requirements.lock
	for name in engine training sampling limit growth dry_run; do $(BIN)/python benchmarks/$$name.py || exit; done
	$(BIN)/python benchmarks/aggregation.py --results results
	$(BIN)/python benchmarks/page.py

# The workflow on a real SLURM, undisturbed and disturbed: a quarter of an hour as root on Debian or Ubuntu, written to docs/.
slurm-trace: environment
	$(BIN)/python tests/support/slurm_trace.py

# Twenty kills of whole workflows at random moments: twenty minutes on two cores, written to docs/.
kill-trace: environment
	$(BIN)/python tests/support/kill_trace.py

environment: $(VENV)/complete

# An environment holds the path of its folder in its scripts, and does not work once that was renamed or copied. The
# marker says where it was built.
BUILT := $(shell cat $(VENV)/complete 2>/dev/null)
ifneq ($(BUILT),)
ifneq ($(BUILT),$(realpath $(VENV)))
.PHONY: moved
$(VENV)/complete: moved
endif
endif

# The marker comes last, so a build that was cut off starts over instead of passing for whole.
$(VENV)/complete: requirements.lock pyproject.toml
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo "PYTHON: holds $(PYTHON)," \
		"which is $$({ "$(PYTHON)" --version 2>&1 || echo no Python; } | tail -n 1); name Python 3.11 or later:" \
		"make environment PYTHON=python3.11" >&2; exit 1; }
	rm -f $@
	"$(PYTHON)" -m venv --clear $(VENV) || { rm -rf $(VENV); "$(PYTHON)" -m venv --without-pip $(VENV) && \
		"$(PYTHON)" -m pip --python $(BIN)/python install --quiet pip; }
	$(BIN)/python -m pip install -qq --disable-pip-version-check --requirement requirements.lock \
		$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
	$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(BIN)/python -m pip check
	# UMAP compiles itself at its first use, for half a minute, and keeps what it compiled.
	$(BIN)/python -c "import numpy, bumpscope.measure.components as c; \
		c.embed(c.decompose(numpy.random.default_rng(0).normal(size=(64, 8))), 0)"
	realpath $(VENV) > $@

clean:
	rm -rf $(VENV)
