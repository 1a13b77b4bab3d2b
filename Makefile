# Each target sets up what it needs, in .venv and target/; what is up to date is left alone.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(shell find rust -name '*.rs' -o -name '*.txt' -path 'rust/*' -o -name 'merges.z' -o -name 'Cargo.toml') Cargo.toml Cargo.lock pyproject.toml

.PHONY: demo test state kills snapshots browser pictures test-free-threaded frameworks clients evaluations tables trainers engine-plugins engine check stub check-workflows docs bench instructions fuzz format clean

# A question, a tool call and the answer, streamed by channel, with the bill: a scripted replay, without key or network.
demo: $(VENV)/built
	$(BIN)/motet demo

# The same inputs in each run, on all cores.
test: $(VENV)/tools
	PROPTEST_RNG_SEED=0 cargo test --quiet
	$(BIN)/pytest -n auto --dist loadgroup

# The proxy's states on servers of their own, which `apt-get install redis-server postgresql` brings, and 50 kills of its
# workers on each; `make test` skips the servers that are not installed, and kills twice.
state: $(VENV)/tools
	MOTET_KILLS=1 $(BIN)/pytest -rs tests/proxy/test_state.py tests/proxy/test_kills.py

# SIGKILL and crashes at many moments of commands, batches, questions with a checkpoint, runs, ledgers and data sets;
# `make test` has a few of each.
kills: $(VENV)/tools
	MOTET_KILLS=1 $(BIN)/pytest tests/properties/test_kills.py tests/columns/test_files.py tests/loop/test_checkpoint.py \
		tests/ledgers/test_processes.py tests/tune/test_file_safety.py

# On a free-threaded Python: the tests without peers, which have no wheels for it.
test-free-threaded: $(VENV)/built
	$(BIN)/pip install --quiet --group free-threaded
	$(BIN)/pytest -n auto --dist loadgroup tests/core/test_ids.py tests/values tests/asking tests/loop tests/atoms \
		--ignore tests/asking/test_trace.py

# LangChain's own tests are coroutines.
ASYNC := -o asyncio_mode=auto -o asyncio_default_fixture_loop_scope=function

# Atoms as models of other frameworks, with these frameworks and their types; `make test` skips these tests.
frameworks: $(VENV)/frameworks-tools
	$(VENV)/frameworks/bin/pytest $(ASYNC) tests/integrations --ignore tests/integrations/test_langchain_standard.py
	$(VENV)/frameworks/bin/pytest $(ASYNC) -W ignore tests/integrations/test_langchain_standard.py
	$(VENV)/frameworks/bin/pytest $(ASYNC) -W ignore \
		'tests/house/test_docs.py::test_python_blocks_of_pages_run[docs/guides/frameworks.md]'
	$(VENV)/frameworks/bin/mypy --package motet.integrations

# Clients of the proxy: SDKs, frameworks and coding agents; `make test` has the SDKs of OpenAI and Anthropic alone.
clients: $(VENV)/clients-tools
	MOTET_AIDER=$(CURDIR)/$(VENV)/clients/aider/bin/aider $(VENV)/clients/bin/pytest -W ignore \
		tests/proxy/test_frameworks.py tests/proxy/test_coding_agents.py

# Small tasks of lm-evaluation-harness and Inspect, with these; `make test` skips these tests.
evaluations: $(VENV)/evaluations-tools
	$(VENV)/evaluations/bin/pytest -W ignore tests/integrations/test_evals.py tests/integrations/test_lm_eval.py \
		tests/integrations/test_inspect_ai.py
	$(VENV)/evaluations/bin/mypy --module motet.integrations.lm_eval --module motet.integrations.inspect_ai

# What trainers call, with the trainers; `make test` skips these tests.
trainers: $(VENV)/trainers-tools
	$(VENV)/trainers/bin/pytest tests/integrations/test_renderers.py tests/transformers
	$(VENV)/trainers/bin/pytest -W ignore tests/integrations/test_verl.py
	$(VENV)/trainers/bin/pytest -W ignore 'tests/house/test_docs.py::test_python_blocks_of_pages_run[docs/guides/trainers.md]'
	$(VENV)/trainers/bin/mypy --module motet.integrations.renderers --module motet.integrations.verl

# Columns with polars, DuckDB, pandas, Ray and Spark on this machine, for which a Java is needed, and files of 1000 MB parsed
# in a tenth of that memory; `make test` runs small ones with pyarrow alone.
tables: $(VENV)/tables-tools
	MOTET_MEMORY=1000 PYSPARK_PYTHON=$(CURDIR)/$(VENV)/tables/bin/python $(VENV)/tables/bin/pytest -W ignore tests/columns \
		'tests/house/test_docs.py::test_python_blocks_of_pages_run[docs/guides/table-engines.md]'
	$(VENV)/tables/bin/mypy --package motet.columns

# Parsers inside of engines, with the parser modules of their wheels; `make test` skips these tests.
engine-plugins: $(VENV)/engine-plugins-tools
	MOTET_VLLM=$(VENV)/engine-plugins/wheels/vllm MOTET_SGLANG=$(VENV)/engine-plugins/wheels/sglang $(VENV)/engine-plugins/bin/pytest -W ignore tests/engines

# Asks a real engine: llama.cpp's server, with a gpt-oss of random weights. The first time it is built from the sources
# in llama-cpp-python, which needs a C++ compiler and some twenty minutes of one core.
ENGINE := $(VENV)/engine
engine: $(VENV)/tools $(ENGINE)/llama-server $(ENGINE)/gpt-oss-random.gguf
	MOTET_LLAMA_SERVER=$(CURDIR)/$(ENGINE)/llama-server MOTET_ENGINE_MODEL=$(CURDIR)/$(ENGINE)/gpt-oss-random.gguf \
		$(BIN)/pytest -m engine tests/live

# Rewrites the messages and outputs that the tests quote, after a rewording; look at `git diff tests`.
snapshots: $(VENV)/tools
	-$(BIN)/pytest -p no:xdist --inline-snapshot=create,fix tests/*/test_messages.py tests/cli/test_output.py tests/cli/test_help*.py
	git diff --stat -- tests

# Pages of `motet view` in Chromium, which must be installed.
browser: $(VENV)/tools
	$(BIN)/pytest -m browser tests/view

# The pictures of the docs, made by the commands that they show. Needs Chromium.
pictures: $(VENV)/tools
	$(BIN)/python docs/pictures.py

# Formatting, lints, types, and the stub against the extension.
check: $(VENV)/tools
	cargo fmt --all --check
	cargo clippy --quiet --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --quiet --package motet --no-deps
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	for folder in $(sort $(dir $(wildcard benches/*.py benches/*/*.py))); do $(BIN)/mypy $$folder*.py || exit 1; done
	$(BIN)/stubtest motet._core

# The docstrings of the extension, copied into its stub.
stub: $(VENV)/built
	$(BIN)/python rust/python/stub_docs.py

check-workflows: | $(VENV)/bin/python
	$(BIN)/pip install --quiet --group workflows
	$(BIN)/zizmor --offline --no-progress .github
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml

# The site, in target/site; a broken link or a reference to a name that does not exist fails.
docs: $(VENV)/docs-tools
	NO_MKDOCS_2_WARNING=1 $(VENV)/docs/bin/mkdocs build --strict --quiet --site-dir target/site
	@echo 'built target/site/index.html'

# Side by side with the peers, in one run; writes benches/README.md.
# First the parser and the renderer beside openai-harmony, then the tokenizer beside all others, with a picture of it; memory
# takes half an hour.
bench: $(VENV)/tools $(VENV)/peers
	$(BIN)/python benches/run.py
	$(BIN)/python benches/drop_in.py
	$(VENV)/bench/bin/python benches/memory.py --peers
	$(VENV)/bench/bin/python benches/tokenizer/compare.py
	$(BIN)/python benches/tokenizer/plot.py
	$(BIN)/python benches/parser/overhead.py
	$(VENV)/bench/bin/python benches/columns.py
	$(BIN)/python benches/proxy/compare.py
	$(BIN)/python benches/proxy/load.py

# Fails where a token has come to cost more instructions than benches/results/instructions.json says.
instructions: $(VENV)/peers
	$(VENV)/bench/bin/python benches/instructions.py --check

# New inputs in each run: the property tests of both languages with twenty times as many examples as in `make test`, then
# each target for 60 seconds from the corpus that is kept (finds are kept in fuzz/artifacts). A find becomes an
# `@example` of its test or a case in tests/corpus. For a long run:
# `make fuzz EXAMPLES=100000 FUZZ='-runs=10000000'`. (cargo-fuzz asks the compiler for what only nightly has; the
# variable lets it.)
EXAMPLES ?= 3000
FUZZ_TARGETS := text ids split conserve strict render
FUZZ ?= -max_total_time=60
fuzz: $(VENV)/tools $(VENV)/fuzz/bin/cargo-fuzz
	PROPTEST_CASES=$(EXAMPLES) cargo test --quiet
	HYPOTHESIS_PROFILE=fuzz HYPOTHESIS_EXAMPLES=$(EXAMPLES) $(BIN)/pytest -n auto --dist loadgroup -m hypothesis
	for target in $(FUZZ_TARGETS); do \
		mkdir -p fuzz/target/found/$$target && \
		PATH=$(CURDIR)/$(VENV)/fuzz/bin:$$PATH RUSTC_BOOTSTRAP=1 cargo fuzz run --sanitizer none $$target \
			fuzz/target/found/$$target fuzz/corpus/$$target -- \
			-dict=fuzz/dictionary.txt -max_len=256 -timeout=5 -rss_limit_mb=2048 -print_final_stats=1 $(FUZZ) \
			|| exit 1; \
	done

$(VENV)/fuzz/bin/cargo-fuzz: | $(VENV)/bin/python
	cargo install --quiet --locked cargo-fuzz --root $(VENV)/fuzz

format: $(VENV)/tools
	cargo fmt --all
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) target

$(VENV)/bin/python:
	@echo 'making the environment $(VENV) ...'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip

$(VENV)/built: $(SOURCES) | $(VENV)/bin/python
	@echo 'building motet (one to three minutes the first time) ...'
	$(BIN)/pip install --quiet --editable '.[together]'
	touch $@

$(VENV)/tools: $(VENV)/built
	@echo 'installing the tools of the tests ...'
	$(BIN)/pip install --quiet --group dev
	# xgrammar asks for torch and transformers, gigabytes that reading a grammar does not need.
	$(BIN)/pip install --quiet --no-deps xgrammar==0.2.8
	# It has the import name of openai-harmony: in a folder of its own, from which the tests load it.
	$(BIN)/pip install --quiet --no-deps --upgrade --target $(VENV)/oss-harmony oss-harmony==0.0.11
	touch $@

# In an environment of its own, without motet: the reference is read from the sources.
$(VENV)/docs-tools: pyproject.toml | $(VENV)/bin/python
	$(PYTHON) -m venv $(VENV)/docs
	$(VENV)/docs/bin/pip install --quiet --upgrade pip
	$(VENV)/docs/bin/pip install --quiet --group docs
	touch $@

# The engines' wheels without what they require, gigabytes for a GPU: their parsers need little of it.
$(VENV)/engine-plugins-tools: $(SOURCES) | $(VENV)/bin/python
	$(PYTHON) -m venv $(VENV)/engine-plugins
	$(VENV)/engine-plugins/bin/pip install --quiet --upgrade pip
	$(VENV)/engine-plugins/bin/pip install --quiet --editable '.[together]' --group engine-plugins
	$(VENV)/engine-plugins/bin/pip install --quiet --no-deps xgrammar==0.2.8
	$(VENV)/engine-plugins/bin/pip install --quiet --no-deps --target $(VENV)/engine-plugins/wheels/vllm vllm==0.33.0
	$(VENV)/engine-plugins/bin/pip install --quiet --no-deps --target $(VENV)/engine-plugins/wheels/sglang sglang==0.5.23
	touch $@

# In an environment of their own: they bring a hundred packages along, and release often.
$(VENV)/frameworks-tools: $(SOURCES) | $(VENV)/bin/python
	$(PYTHON) -m venv $(VENV)/frameworks
	$(VENV)/frameworks/bin/pip install --quiet --upgrade pip
	$(VENV)/frameworks/bin/pip install --quiet --editable '.[langchain,litellm,llm,mcp,pydantic-ai]' --group frameworks
	touch $@

# aider requires other versions of what the others require, and a Python below 3.13: without one its tests are skipped.
$(VENV)/clients-tools: $(SOURCES) | $(VENV)/bin/python
	$(PYTHON) -m venv $(VENV)/clients
	$(VENV)/clients/bin/pip install --quiet --upgrade pip
	$(VENV)/clients/bin/pip install --quiet --editable '.[proxy]' --group clients
	$(PYTHON) -m venv $(VENV)/clients/aider
	-$(VENV)/clients/aider/bin/pip install --quiet aider-chat==0.86.2
	touch $@

$(VENV)/trainers-tools: $(SOURCES) | $(VENV)/bin/python
	$(PYTHON) -m venv $(VENV)/trainers
	$(VENV)/trainers/bin/pip install --quiet --upgrade pip
	$(VENV)/trainers/bin/pip install --quiet --editable '.[otel,renderers,together,transformers,verl]' --group trainers
	touch $@

$(VENV)/evaluations-tools: $(SOURCES) | $(VENV)/bin/python
	$(PYTHON) -m venv $(VENV)/evaluations
	$(VENV)/evaluations/bin/pip install --quiet --upgrade pip
	$(VENV)/evaluations/bin/pip install --quiet --editable '.[inspect-ai,lm-eval,together]' --group evaluations
	touch $@

$(VENV)/tables-tools: $(SOURCES) | $(VENV)/bin/python
	$(PYTHON) -m venv $(VENV)/tables
	$(VENV)/tables/bin/pip install --quiet --upgrade pip
	$(VENV)/tables/bin/pip install --quiet --editable '.[together]' --group tables
	touch $@

# Compilers and the writer of model files, in an environment of their own.
$(ENGINE)/tools: pyproject.toml | $(VENV)/bin/python
	$(PYTHON) -m venv $(ENGINE)
	$(ENGINE)/bin/pip install --quiet --upgrade pip
	$(ENGINE)/bin/pip install --quiet --group engine
	touch $@

# The package has no wheels, and builds no server: its sources have llama.cpp's. Without the web page, which would be
# downloaded, and without TLS.
LLAMA_CPP_PYTHON := 0.3.36
$(ENGINE)/llama-server: | $(ENGINE)/tools
	@echo "building llama.cpp's server ..."
	$(ENGINE)/bin/pip download --quiet --no-deps --no-binary llama-cpp-python --dest $(ENGINE)/source \
		llama-cpp-python==$(LLAMA_CPP_PYTHON)
	tar -xzf $(ENGINE)/source/llama_cpp_python-$(LLAMA_CPP_PYTHON).tar.gz -C $(ENGINE)/source
	PATH=$(CURDIR)/$(ENGINE)/bin:$$PATH nice cmake -G Ninja -B $(ENGINE)/build \
		-S $(ENGINE)/source/llama_cpp_python-$(LLAMA_CPP_PYTHON)/vendor/llama.cpp \
		-DCMAKE_BUILD_TYPE=Release -DCMAKE_C_FLAGS_RELEASE=-O2 -DCMAKE_CXX_FLAGS_RELEASE=-O2 -DBUILD_SHARED_LIBS=OFF \
		-DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF -DLLAMA_USE_PREBUILT_UI=OFF \
		-DLLAMA_OPENSSL=OFF -DGGML_OPENMP=OFF -DGGML_LLAMAFILE=OFF
	PATH=$(CURDIR)/$(ENGINE)/bin:$$PATH nice cmake --build $(ENGINE)/build --target llama-server
	cp $(ENGINE)/build/bin/llama-server $@

$(ENGINE)/gpt-oss-random.gguf: tests/support/write_model.py $(ENGINE)/tools | $(VENV)/built
	PYTHONPATH=python $(ENGINE)/bin/python tests/support/write_model.py $@

# In an environment of their own: they bring many packages along.
$(VENV)/peers: $(SOURCES) pyproject.toml | $(VENV)/bin/python
	$(PYTHON) -m venv $(VENV)/bench
	$(VENV)/bench/bin/pip install --quiet --upgrade pip
	$(VENV)/bench/bin/pip install --quiet . --group bench
	touch $@
