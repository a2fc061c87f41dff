"""sim/judge/coverage.py: each case is counted as a loop over samples counts it; holes are told."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from model.contract.presets import preset
from model.data import load
from model.state import fresh
from model.trace import Trace
from sim.__main__ import app
from sim.judge.coverage import holes, merged, met, moved, sentence
from sim.judge.samples import samples
from sim.judge.segment import Expected

TRAIN, TEST, SEED = 120, 30, 1


@pytest.mark.parametrize("rule", ["drtp", "dfa", "none"])
def test_cases_are_those_that_a_loop_counts(rule: str) -> None:
    config = preset("tiny", rule)
    given = samples(config, load("digits", seed=SEED), TRAIN, TEST, SEED)
    trace = Expected.of(config, fresh(config, SEED), given).trace
    found = met(config, given, trace)
    hidden, records = config.layer_shapes[0], trace.records
    threshold = config.hidden[0].threshold
    wanted = dict.fromkeys(found, 0)
    for number in range(len(given)):
        for x, y, _, _ in records["encode.events"][number]:
            wanted["encode.events x first"] += x == 0
            wanted["encode.events y last"] += y == config.height - 1
        for (score,) in records["readout.scores"][number]:
            wanted["readout.scores score lowest"] += score == 0
            wanted["readout.scores score highest"] += score == 255
        for neuron, _ in records["hidden1.sums"][number]:
            wanted["hidden1.sums neuron last"] += neuron == hidden.outputs - 1
        wanted[f"class {records['readout.verdict'][number][0, 0] & 255}"] += 1
        if number >= TRAIN or rule == "none":
            continue
        wanted[f"learned label {given.labels[number]}"] += 1
        wanted[f"rate step {given.rates[number]}"] += 1
        for (_, total), (sent,) in zip(
            records["hidden1.sums"][number], records["hidden1.modulation"][number], strict=True
        ):
            wanted["hidden1 gate open"] += sent != 0
            wanted["hidden1 gate above"] += total >= threshold
            wanted["hidden1 gate below"] += total <= -threshold
            wanted[f"hidden1 sum at {threshold}"] += total == threshold
        for address, *weights in records["hidden1.updates"][number]:
            wanted["hidden1.updates address first"] += address == 0
            wanted["hidden1.updates weight highest"] += weights.count(config.weight.high)
    counted = {case for case, times in wanted.items() if times}
    assert len(counted) > (3 if rule == "none" else 20)
    assert {case: found[case] for case in counted} == {case: wanted[case] for case in counted}
    assert ("hidden1 gate open" in found) == (rule != "none")
    assert any(case.startswith("readout error at") for case in found) == (rule == "dfa")


def test_holes_are_told() -> None:
    config = preset("tiny")
    given = samples(config, load("digits", seed=SEED), 5, 5, SEED)
    found = met(config, given, Trace.of(config)) | moved(config, {"encode.events": 3}, 0.0)
    assert (found["encode.events counts"], found["without stalls"]) == (3, 1)
    assert "with stalls" in holes(found)
    assert "encode.events x first" in holes(found)
    assert "encode.events counts" not in holes(found)
    assert sentence({"one": 1, "two": 0}) == "met: 1 of 2 cases; not met: two"
    assert sentence({"one": 1}) == "met: 1 of 1 cases"


def test_runs_are_merged_into_one_table(tmp_path: Path) -> None:
    told = [{"preset": "tiny", "met": {"one": 1, "two": 0}}, {"preset": "tiny", "met": {"two": 4}}]
    files = [tmp_path / f"{number}.json" for number in range(2)]
    for file, content in zip(files, told, strict=True):
        file.write_text(json.dumps(content))
    assert merged(files) == {"tiny": {"one": 1, "two": 4}}
    out = tmp_path / "met.json"
    done = CliRunner().invoke(app, ["coverage", *map(str, files), "--json", str(out)])
    assert done.exit_code == 0
    assert done.output.splitlines()[-1] == "tiny: met: 2 of 2 cases"
    assert json.loads(out.read_text()) == {"tiny": {"one": 1, "two": 4}}
    files[0].write_text("[]")
    refused = CliRunner().invoke(app, ["coverage", str(files[0])])
    assert refused.exit_code == 2
