# Everything runs in .venv, made from requirements.lock; `make help` lists what there is.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN    := .venv/bin
STAMP  := .venv/.installed
# a thread each: the processes share the cores; files in the order of tests/conftest.py, the longest first
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile \
          --no-loadscope-reorder
OPENVINO := openvino==2026.4.1
UV     := $(shell sed -n 's/^\(uv==[^ ]*\).*/\1/p' requirements.lock)

# telemetry off: faces are private (ops/__init__.py sets the same for what is started without make)
export ZENML_ANALYTICS_OPT_IN = false
export AUTO_OPEN_DASHBOARD = false
export MLFLOW_DISABLE_TELEMETRY = true
export DVC_NO_ANALYTICS = 1
export GX_ANALYTICS_ENABLED = false
export GRADIO_ANALYTICS_ENABLED = False
export ORT_DISABLE_TELEMETRY = 1

.DEFAULT_GOAL := help
.PHONY: help install weights stack sample demo smoke ui test test-all lint format lock bench scenario gpu-kit clean \
        install-infra image check-infra services services-down kubeflow

help:  ## show this help
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-16s %s\n", $$1, $$2 }'

install: $(STAMP)  ## set up .venv from requirements.lock

# compiled once: where PYTHONDONTWRITEBYTECODE is set, as in many containers, every start would compile 7,500 files
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || { \
		echo "Error: Python 3.11 not found: install it, or say make PYTHON=/path/to/python3.11" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$(UV)"
	$(BIN)/uv pip install --python $(BIN)/python --compile-bytecode --require-hashes --requirement requirements.lock
	$(BIN)/uv pip install --python $(BIN)/python --quiet --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -q cli facerecon ops pipelines serving steps training.py retraining.py reconstruction.py
	@grep -q ZENML_ANALYTICS_OPT_IN $(BIN)/activate || printf '%s\n' \
		'export ZENML_ANALYTICS_OPT_IN=false AUTO_OPEN_DASHBOARD=false MLFLOW_DISABLE_TELEMETRY=true' \
		'export DVC_NO_ANALYTICS=1 GX_ANALYTICS_ENABLED=false GRADIO_ANALYTICS_ENABLED=False' \
		'export ORT_DISABLE_TELEMETRY=1' >> $(BIN)/activate
	@touch $@

weights: install  ## fetch the pretrained weights
	$(BIN)/facerecon weights

stack: install  ## register this clone's ZenML stack and make it active
	$(BIN)/facerecon stack

# from the remote in this repository; if data/ holds something else, too, they are drawn: the bytes are the same
sample: install  ## put the sample faces into data/sample, under DVC
	@$(BIN)/dvc pull --quiet --remote sample data.dvc </dev/null 2>/dev/null || { \
		$(BIN)/facerecon sample && $(BIN)/dvc add --quiet data; }

demo: weights stack sample  ## set everything up and run the training pipeline on sample faces
	$(BIN)/zenml pipeline run training

smoke: weights stack  ## run every part of the pipeline at the smallest size, on 24 faces that are drawn for it
	$(BIN)/facerecon sample --folder data/ci --identities 12 --photos 2 --size 192
	$(BIN)/zenml pipeline run training -c configs/ci.yaml

ui:  ## start MLflow's and ZenML's web pages
	@$(BIN)/facerecon ui

# on top of the default environment, which it leaves as it is
install-infra: .venv/.infra  ## add what servers and clusters need to .venv, from infra/requirements.lock
.venv/.infra: infra/requirements.lock $(STAMP)
	$(BIN)/uv pip install --python $(BIN)/python --compile-bytecode --require-hashes --requirement infra/requirements.lock
	@touch $@

image: install-infra  ## make the image that steps run in, of this tree; GPU=1: with CUDA; BASE=IMAGE: of another Debian 12
	@$(BIN)/python -m infra.images $(if $(GPU),--gpu) $(if $(BASE),--base $(BASE))

services: install-infra  ## start PostgreSQL, S3, MLflow, MariaDB and ZenML here, for `facerecon stack services`; FIRST_PORT=45000
	@$(BIN)/python -m infra.services up $(if $(FIRST_PORT),--first-port $(FIRST_PORT))

services-down: install-infra  ## end these servers; what they hold is kept
	@$(BIN)/python -m infra.services down

# the stack `kubeflow` must be active; no cluster is asked
kubeflow: install-infra  ## write both pipelines as Kubeflow takes them to outputs/kubeflow/; CONFIG=configs/lfw.yaml: that training
	@$(BIN)/python -m infra.kubeflow $(if $(CONFIG),--training $(CONFIG)) $(if $(RETRAINING),--retraining $(RETRAINING))

test: install  ## run the quick tests
	$(PYTEST) -m "not slow and not containers"

test-all: install  ## run all tests but those of `make check-infra`
	$(PYTEST) -m "not containers"

# one after the other: an image is made, and servers are killed
check-infra: weights install-infra  ## make the image, run the pipeline in containers, kill containers and servers; BASE as for image
	FACERECON_INFRA=required FACERECON_BASE=$(BASE) OMP_NUM_THREADS=1 $(BIN)/python -m pytest --durations=0 \
		-m "containers or slow" tests/pipelines/containers tests/pipelines/test_services.py

lint: install  ## style, types, and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install  ## put the code into its format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# one resolution: what servers and clusters need comes on top of the first, and must agree with it
COMPILE := $(BIN)/uv pip compile pyproject.toml --universal --generate-hashes --no-annotate \
           --custom-compile-command "make lock" --quiet
lock: install  ## resolve pyproject.toml into requirements.lock and infra/requirements.lock anew
	$(COMPILE) --extra dev --extra infra --output-file infra/requirements.lock
	sed -n 's/^\([^ ]*==[^ ]*\).*/\1/p' infra/requirements.lock > infra/.constraints
	$(COMPILE) --extra infra --constraint infra/.constraints --output-file infra/images/requirements.lock
	$(COMPILE) --extra dev --constraint infra/.constraints --output-file requirements.lock
	rm infra/.constraints

# the short form goes through everything once and says little; its figures do not replace those that are kept
SHORT := outputs/benchmarks
SHORT_STATE := --state $(SHORT)/state
QUICK_BACKENDS := eager,onnxruntime,onnxruntime_int8
PHOTOS ?= data/lfw
SECOND ?=
# the model that restoration's second part of the table starts from; without one there is the first part alone
START ?=
FROM_SCRATCH := "U-Net,instance norm,FPN on MobileNetV2,FPN on EfficientNet-Lite0"
# what benchmarks.quality has trained
TRAINED := $(foreach name,plain ours ours_small,--model $(name)=.facerecon/benchmarks/models/$(name).safetensors)
bench: weights sample  ## run all benchmarks, in about half an hour; LONG=1 PHOTOS=data/lfw SECOND=FOLDER START=MODEL: hours, and figures to keep
ifdef LONG
	$(BIN)/uv pip install --quiet --python $(BIN)/python "$(OPENVINO)"
	$(BIN)/python -m benchmarks.quality --photos $(PHOTOS) --source lfw --minutes 15 --tune-minutes 2 \
		--tune plain_tuned --faces 64 --recipes plain,plain_tuned,ours,ours_small \
		$(if $(SECOND),--second $(SECOND))
	$(BIN)/python -m benchmarks.inference --photos $(PHOTOS) --source lfw --no-confidence --rounds 2 --seconds 2 $(TRAINED)
	$(BIN)/python -m benchmarks.training --photos $(PHOTOS) --source lfw
	$(BIN)/python -m benchmarks.cost
	$(BIN)/python -m benchmarks.data growth --count 10000
	$(BIN)/python -m benchmarks.data memory
	$(BIN)/python -m benchmarks.inbox
	$(BIN)/python -m benchmarks.overhead pipeline --repeats 3
	$(BIN)/python -m benchmarks.overhead waiting --repeats 3
	$(BIN)/python -m benchmarks.ablations --photos $(PHOTOS) --source lfw --at-once 2
	$(BIN)/python -m benchmarks.restoration --photos $(PHOTOS) --source lfw --at-once 2 \
		$(if $(START),--start $(START),--rows $(FROM_SCRATCH))
	$(BIN)/python -m benchmarks.landmarks
else
	$(BIN)/python -m benchmarks.masks
	$(BIN)/python -m benchmarks.data speed
	$(BIN)/python -m benchmarks.data growth
	$(BIN)/python -m benchmarks.data loader
	$(BIN)/python -m benchmarks.inbox
	$(BIN)/python -m benchmarks.overhead pipeline --repeats 1
	$(BIN)/python -m benchmarks.overhead waiting --repeats 1 --steps 16
	$(BIN)/python -m benchmarks.training --steps 16 --rounds 2 $(SHORT_STATE) --out $(SHORT)/training.json
	$(BIN)/python -m benchmarks.inference --sizes 64,128 --seconds 1 --rounds 1 --backends $(QUICK_BACKENDS) \
		$(SHORT_STATE) --out $(SHORT)/inference.json
	$(BIN)/python -m benchmarks.cost --seconds 0.5 --rounds 1 --out $(SHORT)/cost.json
	$(BIN)/python -m benchmarks.ablations --rows "as it is,smooth fill for the prior" --minutes 0.5 --seeds 1 --faces 16 \
		$(SHORT_STATE) --out $(SHORT)/ablations.json
	$(BIN)/python -m benchmarks.quality --minutes 0.5 --faces 16 $(SHORT_STATE) --out $(SHORT)/quality.json
	$(BIN)/python -m benchmarks.restoration --rows "U-Net,instance norm" --minutes 0.5 --faces 16 $(SHORT_STATE) \
		--out $(SHORT)/restoration.json
	$(BIN)/python -m benchmarks.landmarks --rows "control,graph" --minutes 0.5 --people 60 $(SHORT_STATE) \
		--out $(SHORT)/landmarks.json
endif

# people of PHOTOS, where there are some in LFW's layout; else a few drawn ones
scenario: weights  ## retrain on rendered footage from end to end, in a checkout of its own; PHOTOS=data/lfw: an hour
	$(BIN)/python -m benchmarks.scenario $(if $(wildcard $(PHOTOS)),--photos $(PHOTOS))

# faces of PHOTOS, where there are some in LFW's layout; else drawn ones
gpu-kit: weights  ## pack .gpu/, with which a bare machine with a GPU is measured: python -m benchmarks.gpu
	$(BIN)/python -m benchmarks.gpu.build $(if $(wildcard $(PHOTOS)),--photos $(PHOTOS) --source lfw)

clean:  ## remove what runs left: crops, checkpoints, runs, outputs, the services' data (not data, not .venv)
	@test ! -d .facerecon/services || $(BIN)/python -m infra.services down
	rm -rf .facerecon outputs
