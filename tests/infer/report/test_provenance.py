import subprocess

import torch
from material import NANO
from report_material import good_results

from infer.report.evaluate import EvaluationSpec
from infer.report.provenance import collect_provenance, git_commit, measured_cost, peak_memory_gb


def test_a_base_alone(nano, video):
    results = good_results(video)
    found = collect_provenance(nano, str(NANO), results, EvaluationSpec(), {}, ["python", "x y"])
    assert found["adapter"] is found["training_demonstrations"] is found["lora_rank"] is found["seed"] is None
    assert found["window"] == {"size": 8, "rate_hz": 6.25, "padding": "repeat_first"} and found["readout"] == "text"
    assert found["episodes"][3]["episode"] == "failure" and found["episodes"][3]["held_out"]
    assert found["episodes"][0]["fingerprint"] == results[0].demonstration.annotation.fingerprint
    assert found["versions"]["torch"] == torch.__version__
    assert found["command"] == "python 'x y'" and found["date"].endswith("+00:00")


def test_the_commit_tells_of_changes(tmp_path):
    def git(*words):
        subprocess.run(["git", "-C", tmp_path, "-c", "user.name=a", "-c", "user.email=a@b", *words], check=True)

    assert git_commit(tmp_path / "nothing") is None
    (tmp_path / "a").write_text("1")
    git("init", "-q")
    git("add", "a")
    git("commit", "-qm", "a")
    clean = git_commit(tmp_path)
    assert len(clean) == 40
    (tmp_path / "a").write_text("2")
    assert git_commit(tmp_path) == clean + "+"


def test_cost_per_window(nano, video):
    cost = measured_cost(nano, good_results(video))  # 4 episodes, 4 frames, both playbacks: 32 windows in 4 s
    assert cost["windows"] == 32 and cost["ms_per_window"] == {"base": 125.0, "adapter": 125.0}
    assert 0.05 < cost["peak_memory_gb"] == round(peak_memory_gb(torch.device("cpu")), 2) < 100
