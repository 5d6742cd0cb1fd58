# make quickstart: maps of photographs; train on the embedded data, evaluate, maps again.  make test: every check.
# make test-avx2: the tests on a processor that can do no more than AVX2.  make test-bf16: the tests in bf16.
# make browser: what examples/browser needs, from the npm registry.
# make docs: the documentation as a site that needs no network, in site/.
# make release: wheel and source archive in dist/, checked, and the wheel tried in a fresh environment.
# make constraints: the versions that are installed here, into constraints.txt; make install CONSTRAINTS=constraints.txt
# installs those again.
# Another Python: make test PYTHON=python3.13; it gets a virtual environment of its own.
PYTHON ?= python3
VENV := .venv$(if $(filter-out python3,$(PYTHON)),-$(notdir $(PYTHON)))
BIN := $(VENV)/bin
SCRIPTS := benchmarks experiments tools/pages tools/release
CONSTRAINED := $(if $(CONSTRAINTS),--constraint $(CONSTRAINTS))

unexport PYTHONDONTWRITEBYTECODE  # else each of the many processes that tests start compiles every module anew

.PHONY: install quickstart test types suite test-avx2 test-bf16 browser docs release constraints

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet $(CONSTRAINED) --editable '.[dev]'
	touch $@

quickstart: install
	$(BIN)/payattention quickstart

test: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(MAKE) --no-print-directory --jobs=2 types suite

types: install
	$(BIN)/mypy
	for folder in $(SCRIPTS); do $(BIN)/mypy $$folder/*.py || exit 1; done

suite: install
	$(BIN)/pytest -n 2

docs: $(VENV)/installed-docs
	$(BIN)/python tools/pages/site_of_docs.py

$(VENV)/installed-docs: $(VENV)/installed
	$(BIN)/pip install --quiet --editable '.[docs]'
	touch $@

test-avx2: install
	ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2 $(BIN)/pytest -n 2

test-bf16: install
	$(BIN)/pytest -n 2 --bf16

ORT_WEB := onnxruntime-web@1.30.0
ORT_FILES := ort.wasm.min.js ort-wasm-simd-threaded.mjs ort-wasm-simd-threaded.wasm

browser:
	mkdir -p examples/browser/vendor
	cd examples/browser/vendor && npm pack --silent $(ORT_WEB) && \
	tar -xzf onnxruntime-web-*.tgz --strip-components=2 $(addprefix package/dist/,$(ORT_FILES)) && \
	rm onnxruntime-web-*.tgz

release: install
	rm -rf dist .venv-release
	$(PYTHON) -m venv .venv-release
	.venv-release/bin/pip install --quiet build twine
	.venv-release/bin/python -m build --outdir dist
	.venv-release/bin/twine check --strict dist/*
	$(BIN)/python tools/release/check_archives.py dist
	tools/release/try_wheel.sh $(PYTHON) dist/*.whl $(CONSTRAINTS)

constraints: install
	{ echo "# Made by make constraints, by $$($(BIN)/python --version)."; \
	  $(BIN)/pip freeze --exclude-editable | sed 's/+.*//'; } > constraints.txt.new
	mv constraints.txt.new constraints.txt
