"""A comparison whose trainings are probed and may end by rules: what its folder, its summary, its cards and its page say."""

import json

from ssr_nb.compare import compare
from ssr_nb.comparison import Comparison
from ssr_nb.html_report import html_report
from ssr_nb.report import probe_curves
from ssr_nb.stopping import read_probes

SMALL = dict(methods=["sft", "wise"], learning_rates=[3e-3], seeds=[0], backend="transformers", workers=1, threads=1, resamples=50,
             items={"train": 32, "validation": 8, "target": 6, "shift": 2, "general": 1}, training={"steps": 8, "batch_size": 8})
PROBE = {"every": 2, "general": "microworld:general", "limit": 9}


def test_what_a_watched_comparison_leaves(tmp_path):
    lines: list[str] = []
    summary = compare(Comparison(**SMALL, probe=PROBE, stop={"may_lose": 1e-6}), tmp_path, say=lines.append)
    arm = tmp_path / "arms" / "sft-0.003-0"
    assert [row.step for row in read_probes(arm / "probe.jsonl")] == [0, 2]
    assert [(kept["method"], kept["step"], kept["ended"]) for kept in summary["kept"]] == [("sft", 0, 2), ("wise", 0, 2)]
    assert any("sft at 0.003, seed 0: ended at step 2 of 8" in line for line in lines)
    assert summary["config"]["probe"] == PROBE and summary["config"]["stop"] == {"may_lose": 1e-6}
    card = (arm / "adapter" / "README.md").read_text()
    assert "--probe-every 2" in card and "--stop-may-lose 1e-06" in card and "ended at step 2 of 8" in card
    assert list(probe_curves(tmp_path)) == [("sft", 0.003)]
    page, *pictures = html_report(tmp_path)
    assert "probe.png" in [path.name for path in pictures] and "while they happened" in page.read_text()
    assert "seed 0: ended at step 2 of 8" in page.read_text()


def test_a_comparison_without_a_probe_notes_nothing_of_it(tmp_path):
    summary = compare(Comparison(**SMALL | {"methods": ["sft"]}), tmp_path, say=lambda line: None)
    noted = json.loads((tmp_path / "config.json").read_text())
    assert not {"probe", "stop", "stages", "kept"} & (set(summary) | set(summary["config"]) | set(noted))
    assert "probe" not in json.loads((tmp_path / "arms" / "sft-0.003-0" / "adapter" / "training.json").read_text())
    assert not list(tmp_path.glob("arms/*/probe.jsonl"))
    page, *pictures = html_report(tmp_path)
    assert "probe.png" not in [path.name for path in pictures] and "while they happened" not in page.read_text()
