"""sim/report: one page of everything measured, seen by a real browser; wrong files refused."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from model.__main__ import app as model
from model.contract.refusal import Refusal
from sim.__main__ import app as sim
from sim.report.evidence import KINDS, gathered
from sim.report.page import write

RESULTS = Path(__file__).resolve().parents[1] / "results"
CHROMIUM = next((p for n in ("chromium", "chromium-browser") if (p := shutil.which(n))), None)
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--allow-file-access-from-files", "--virtual-time-budget=4000", "--dump-dom"),
)
# Seen from inside the page: errors, what is wider than the page, charts that have a size.
PROBE = """<script>
const errors = [];
addEventListener("error", e => errors.push(e.message));
const shout = console.error; console.error = (...a) => { errors.push(a.join(" ")); shout(...a); };
addEventListener("load", () => parent.postMessage(JSON.stringify({
  errors, width: innerWidth, wide: document.documentElement.scrollWidth,
  charts: [...document.querySelectorAll("svg.chart")].filter(
    c => c.getBoundingClientRect().width > 50 && c.getBoundingClientRect().height > 20).length,
  background: getComputedStyle(document.body).backgroundColor,
}), "*"));
</script></head>"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of a chip that was trained, tested, calibrated and proved, and of recorded tables."""
    folder = tmp_path_factory.mktemp("report")
    run = CliRunner().invoke
    trained, names = str(folder / "run.npz"), ("train", "test", "verify", "explore", "classify")
    told = {name: str(folder / f"{name}.json") for name in names}
    tiny = ["--preset", "tiny"]
    learning = ["--epochs", "2", "--validation-fraction", "0.1"]
    varied = ["--neurons", "8", "--neurons", "16", "--limit", "300", "--epochs", "1"]
    held = ["--rule", "none", "--test", "60"]
    commands = (
        (model, ["train", *tiny, *learning, "--out", trained, "--json", told["train"]]),
        (model, ["test", trained, "--json", told["test"]]),
        (sim, ["verify", *tiny, "--train", "20", "--test", "10", "--json", told["verify"]]),
        (model, ["explore", "--data", "digits", *varied, "--json", told["explore"]]),
        (sim, ["classify", trained, *held, "--json", told["classify"]]),
    )
    for app, words in commands:
        done = run(app, words)
        assert done.exit_code == 0, done.output
    recorded = [RESULTS / "compare-spoon-mnist.json", RESULTS / "cost" / "cost.json"]
    out = folder / "report.html"
    write([Path(trained), *map(Path, told.values()), *recorded], out)
    return out


def test_the_page_needs_nothing_and_is_small(page: Path) -> None:
    text = page.read_text()
    assert len(text) < 3_000_000
    assert not re.search(r'(?:src|href)="(?!#|data:)', text)
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert text.count("<section") == text.count("</section>") >= 8
    assert "prefers-color-scheme: dark" in text


def test_the_page_says_what_the_files_say(page: Path) -> None:
    text = page.read_text()
    verified = json.loads((page.parent / "verify.json").read_text())
    tested = json.loads((page.parent / "test.json").read_text())
    assert f"[0/{verified['compared_values']:,}] mismatches" in text
    assert f"{tested['test_accuracy']:.2%} of {tested['test_samples']:,} samples" in text
    assert verified["weights_sha256"]["rtl"] in text
    assert "validation accuracy by epoch" in text
    assert "Classifies after reset, unwritten" in text
    assert "8 bits, 10 kernels, 16 neurons" in text


def test_the_twin_holds_the_figures_and_their_sums(page: Path) -> None:
    twin = json.loads(page.with_suffix(".json").read_text())
    assert {item["kind"] for item in twin["evidence"]} == {
        *("train", "test", "verify", "compare", "cost", "explore", "classify")
    }
    assert all(len(item["sha256"]) == 64 for item in twin["evidence"])
    assert twin["models"][0]["config"]["name"] == "tiny"


def test_points_tell_their_names(page: Path) -> None:
    assert re.search(r"<title>spoon drtp: [\d.e+]+, [\d.]+</title>", page.read_text())


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
@pytest.mark.parametrize("width", [390, 1400])
def test_a_browser_shows_all_of_it_without_errors(page: Path, tmp_path: Path, width: int) -> None:
    assert CHROMIUM is not None
    text = page.read_text()
    (tmp_path / "page.html").write_text(text.replace("</head>", PROBE, 1))
    (tmp_path / "frame.html").write_text(
        f'<pre id="said"></pre><iframe src="page.html" width="{width}" height="900"></iframe>'
        "<script>onmessage = e => document.querySelector('#said').textContent = e.data</script>"
    )
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    done = subprocess.run(
        [CHROMIUM, *FLAGS, profile, (tmp_path / "frame.html").as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
    )
    said = re.search(r'<pre id="said">(\{.*?\})</pre>', done.stdout)
    assert said, done.stdout[-500:] + done.stderr[-500:]
    found = json.loads(said[1].replace("&quot;", '"'))
    assert found["errors"] == []
    assert found["width"] <= width
    assert found["wide"] <= found["width"], "the page is wider than the window"
    assert found["charts"] == text.count('<svg class="chart"') > 8


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.json", "{", "is not JSON"),
        ("a.json", "[" * 100_000, "is not JSON"),
        ("a.json", "[1]", "holds no table"),
        ("a.json", '{"x": 1}', f"none of {', '.join(KINDS)}"),
        ("a.npz", "nothing", "truncated or no .npz"),
    ],
)
def test_other_files_are_refused(name: str, text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(Refusal, match=told):
        gathered([path])
    with pytest.raises(Refusal, match="check the path"):
        gathered([tmp_path / "missing.json"])
