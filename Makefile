# For a newcomer: `make demo`, then `make test`. For a contributor: `make check` at each change. Needs Python 3.10+ with venv and
# a C++17 compiler.
PYTHON ?= python3
RUNTIME := .venv
DEV := .venv-dev

PYTHON_VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
PINS := $(if $(filter 3.11,$(PYTHON_VERSION)),requirements/ci-3.11.txt,requirements/any-python.txt)
# What an installation depends on: the compiled module's sources, the metadata, and which Python files there are (not what
# is in them). The last is in the name of the mark that an installation leaves, so that a moved file calls for another.
SOURCES := pyproject.toml $(PINS) $(shell find bindings -name '*.[ch]pp' -o -name CMakeLists.txt -o -name '*.cmake')
FILES := $(shell find vljepa_edge kernels training -name '*.py' | LC_ALL=C sort | cksum | cut -d' ' -f1)
INSTALLED := .installed-$(FILES)

.DEFAULT_GOAL := help
.PHONY: help demo check test lint cpp-test bench tiny clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */  make \1	/' | expand -t 18

demo: $(RUNTIME)/$(INSTALLED)  ## stream a real video and print what happens in it (runtime only, no torch)
	$(RUNTIME)/bin/vljepa demo

# What trains, exports or starts many processes takes minutes and is left to `make test`; so is each test that is marked slow.
LATER := $(addprefix --ignore=tests/,benchmarks cli export kernels nn training)

check: lint  ## what to run at each change: lint, and the runtime's quick tests (2 to 3 minutes)
	$(DEV)/bin/python -m pytest -q -m "not slow" $(LATER) --durations=10 --durations-min=1 $(ARGS)

test: $(DEV)/$(INSTALLED)  ## run all Python tests, one process a core (half an hour on 2 cores)
	$(DEV)/bin/python -m pytest -n logical --dist loadfile $(ARGS)

lint: $(DEV)/$(INSTALLED)  ## ruff and mypy --strict
	$(DEV)/bin/ruff check .
	rm -rf build/types && mkdir -p build/types/vljepa_edge
	ln -s $(CURDIR)/vljepa_edge/* $(CURDIR)/training $(CURDIR)/kernels build/types/vljepa_edge/  # as it is installed
	cd build/types && $(abspath $(DEV))/bin/mypy --strict --config-file $(CURDIR)/pyproject.toml --cache-dir $(CURDIR)/build/mypy -p vljepa_edge

# The openvino package has OpenVINO's headers and libraries, too.
OPENVINO_CMAKE = $(shell $(DEV)/bin/python -c \
	"import importlib.util as u; print(u.find_spec('openvino').submodule_search_locations[0] + '/cmake')")
# ONNX Runtime's has the library alone: ONNXRUNTIME_ROOT is an unpacked release archive of it.
CPP = $(DEV)/bin/cmake -S bindings -DVLJEPA_TESTS=ON -DVLJEPA_EXAMPLES=ON -DOpenVINO_DIR=$(OPENVINO_CMAKE) \
	$(if $(ONNXRUNTIME_ROOT),-DVLJEPA_ONNXRUNTIME=ON -DONNXRUNTIME_ROOT=$(ONNXRUNTIME_ROOT))
# The thread sanitizer knows nothing of OpenVINO's threads; the tests of the worker do without it.
CPP_THREAD = $(DEV)/bin/cmake -S bindings -DVLJEPA_TESTS=ON -DVLJEPA_EXAMPLES=OFF -DCMAKE_DISABLE_FIND_PACKAGE_OpenVINO=ON

cpp-test: $(DEV)/$(INSTALLED)  ## run the C++ tests, plain and under sanitizers of addresses, undefined behaviour and threads
	$(CPP) -B build/cpp -DCMAKE_BUILD_TYPE=Release
	$(DEV)/bin/cmake --build build/cpp --parallel
	$(DEV)/bin/ctest --test-dir build/cpp --output-on-failure
	$(CPP) -B build/cpp-sanitize -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG='-Og -g1' -DVLJEPA_SANITIZE=address,undefined
	$(DEV)/bin/cmake --build build/cpp-sanitize --parallel
	$(DEV)/bin/ctest --test-dir build/cpp-sanitize --output-on-failure
	$(CPP_THREAD) -B build/cpp-thread -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG='-Og -g1' -DVLJEPA_SANITIZE=thread
	$(DEV)/bin/cmake --build build/cpp-thread --parallel --target test_queue test_live
	$(DEV)/bin/ctest --test-dir build/cpp-thread --output-on-failure -R '^(queue|live)$$'

bench: $(DEV)/$(INSTALLED)  ## time every stage beside its peers and write docs/performance.md (a quiet machine)
	$(DEV)/bin/python -m benchmarks $(ARGS)

tiny: $(DEV)/$(INSTALLED)  ## train the default model from nothing (about two hours on 2 cores with AVX2)
	$(DEV)/bin/python -m vljepa_edge.training.tiny $(ARGS)

clean:  ## remove environments, builds and caches
	rm -rf $(RUNTIME) $(DEV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks

$(RUNTIME)/$(INSTALLED): $(SOURCES)
	$(PYTHON) -m venv $(RUNTIME)
	$(RUNTIME)/bin/python -m pip install --quiet --no-compile -c $(PINS) -e .
	$(RUNTIME)/bin/vljepa slim --apply
	@rm -f $(@D)/.installed* && touch $@

$(DEV)/$(INSTALLED): $(SOURCES)
	$(PYTHON) -m venv $(DEV)
	$(DEV)/bin/python -m pip install --quiet -c $(PINS) -e '.[dev,train,onnxruntime]'
	@rm -f $(@D)/.installed* && touch $@
