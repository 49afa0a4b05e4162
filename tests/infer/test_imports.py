"""What needs no torch does not import it: command lines start at once, and tools that only read records stay light."""

import subprocess
import sys

import pytest
from material import ROOT

WITHOUT_TORCH = (
    "infer", "infer.__main__", "infer.predict", "infer.records", "infer.request",
    "infer.decoding.settings", "infer.decoding.window_answer", "infer.model.adapter_folder", "infer.model.errors",
    "infer.model.source", "infer.model.transformers_internals", "infer.vllm.client", "infer.vllm.server",
)  # fmt: skip


@pytest.mark.parametrize("module", WITHOUT_TORCH)
def test_torch_is_imported_with_a_model_only(module):
    program = f"import sys, {module}; print(sorted({{'torch', 'transformers', 'peft'}} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
