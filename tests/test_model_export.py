"""model/export: the C classifies as the chip does, bit for bit; memory files hold its words."""

import dataclasses
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from model.__main__ import app
from model.banks import to_words
from model.contract.choices import Conv, Pooling
from model.contract.config import ChipConfig
from model.contract.presets import preset
from model.contract.storage import host_banks
from model.data import load
from model.export import c, hex
from model.fast.engine import FastChip
from model.network import ChipModel
from model.state import State, fresh

DRIVER = """
#include <stdio.h>
#include "chip.h"
#include "model.h"
int main(void) {
    static uint8_t pixels[CHIP_PIXELS];
    uint8_t scores[CHIP_CLASSES];
    while (fread(pixels, 1, CHIP_PIXELS, stdin) == CHIP_PIXELS) {
        uint8_t best = (uint8_t)chip_classify(pixels, scores);
        fwrite(&best, 1, 1, stdout);
        fwrite(scores, 1, CHIP_CLASSES, stdout);
    }
    return 0;
}
"""


def classified_in_c(
    config: ChipConfig, state: State, images: np.ndarray, folder: Path
) -> tuple[np.ndarray, np.ndarray]:
    """Classes and scores that the exported C gives, built by gcc with every warning an error."""
    for name, text in (c.files(config, state) | {"main.c": DRIVER}).items():
        (folder / name).write_text(text)
    compiler = shutil.which("gcc") or shutil.which("cc")
    assert compiler, "a C compiler"
    flags = ["-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-pedantic", "-fsanitize=undefined"]
    build = [compiler, *flags, "-fno-sanitize-recover=all", "main.c", "chip.c", "-o", "chip"]
    subprocess.run(build, cwd=folder, check=True)
    done = subprocess.run(
        [folder / "chip"], input=images.tobytes(), capture_output=True, check=True
    )
    rows = np.frombuffer(done.stdout, np.uint8).reshape(len(images), -1)
    return rows[:, 0].astype(np.int64), rows[:, 1:].astype(np.int64)


def random_state(config: ChipConfig, rng: np.random.Generator) -> State:
    """Weights all over their format, which reach every saturation."""
    state = fresh(config, 3)
    for name, codes in state.weights.items():
        high = config.weight.high
        state.banks[f"{name}.weights"] = rng.integers(-high, high + 1, codes.shape)
    return state


def two_convs() -> ChipConfig:
    """Padding, both poolings, inhibition, two layers, channels, a map that is not square."""
    return dataclasses.replace(
        preset("conv-cifar-narrow"),
        name="two",
        height=12,
        width=8,
        pixel_bits=5,
        conv=(
            Conv(8, 3, padding=1, pool=2, pooling=Pooling.MAX, shift=7, bank="random"),
            Conv(20, 3, padding=1, pool=1, shift=9, inhibition=3, bank="random"),
        ),
    )


@pytest.mark.parametrize(
    "config",
    [preset(name) for name in ("tiny", "spoon-lite", "fc2-narrow")] + [two_convs()],
    ids=lambda config: config.name,
)
def test_c_equals_the_chip_on_random_weights_and_images(config: ChipConfig, tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    state = random_state(config, rng)
    size = (200, config.height, config.width, config.channels)
    images = rng.integers(0, 256, size, dtype=np.uint8)
    nothing = np.zeros(len(images), np.int64)
    classes, scores = FastChip(config, state).run(images, nothing, nothing, False)
    c_classes, c_scores = classified_in_c(config, state, images, tmp_path)
    assert (c_scores == scores).all()
    assert (c_classes == classes).all()
    assert len(np.unique(scores)) > 2


def test_c_equals_a_trained_chip_on_held_out_digits(tmp_path: Path) -> None:
    digits = load("digits")
    model = ChipModel(preset("digits"), epochs=1).fit(digits.x_train, digits.y_train)
    classes, scores = classified_in_c(model.config, model.state_, digits.x_test, tmp_path)
    assert (classes == model.predict(digits.x_test)).all()
    assert (scores == model.scores(digits.x_test)).all()
    assert np.mean(classes == digits.y_test) > 0.9


@pytest.mark.data
def test_c_equals_a_trained_chip_on_all_of_mnists_test_images(tmp_path: Path) -> None:
    mnist = load("mnist")
    model = ChipModel(preset("spoon"), epochs=1).fit(mnist.x_train[:2000], mnist.y_train[:2000])
    classes, scores = classified_in_c(model.config, model.state_, mnist.x_test, tmp_path)
    assert len(classes) == 10_000
    assert (classes == model.predict(mnist.x_test)).all()
    assert (scores == model.scores(mnist.x_test)).all()
    assert np.mean(classes == mnist.y_test) > 0.9


def test_memory_files_hold_the_words_of_every_host_bank() -> None:
    config = preset("tiny")
    state = random_state(config, np.random.default_rng(1))
    found = hex.files(config, state)
    assert list(found) == [f"tiny.{bank.name}.hex" for bank in host_banks(config)]
    for bank in host_banks(config):
        lines = found[f"tiny.{bank.name}.hex"].splitlines()[1:]
        assert len(lines) == bank.words
        words = to_words(bank, state.banks[bank.name])
        for line, word in zip(lines, words.tolist(), strict=True):
            assert len(line) == -(-bank.word_bits // 4)
            raw = int(line, 16)
            for code in word:
                low = raw & (1 << bank.code.bits) - 1
                assert low - (low >> bank.code.bits - 1 << bank.code.bits) == code
                raw >>= bank.code.bits
            assert raw == 0


def test_test_show_and_export_commands(tmp_path: Path) -> None:
    run = CliRunner().invoke
    model = str(tmp_path / "run.npz")
    trained = run(app, ["train", "--preset", "tiny", "--epochs", "1", "--out", model])
    assert trained.exit_code == 0, trained.output
    tested = run(app, ["test", model, "--json", str(tmp_path / "test.json")])
    assert tested.exit_code == 0, tested.output
    accuracy = next(line for line in trained.output.splitlines() if "accuracy" in line)
    assert tested.output.splitlines()[-1].split()[0] in accuracy
    shown = run(app, ["show", model, "--picture", str(tmp_path / "model.png")])
    assert shown.exit_code == 0, shown.output
    assert (tmp_path / "model.png").read_bytes()[:4] == b"\x89PNG"
    for to, name in (("c", "model.h"), ("hex", "tiny.readout.weights.hex")):
        assert run(app, ["export", model, "--to", to, "--out", str(tmp_path / to)]).exit_code == 0
        assert (tmp_path / to / name).is_file()
    again = run(app, ["export", model, "--to", "c", "--out", str(tmp_path / "c")])
    assert "is there already; give --overwrite to replace it" in again.output
    refused = run(app, ["export", model, "--to", "onnx", "--out", str(tmp_path / "x")])
    assert refused.exit_code != 0
    assert not (tmp_path / "x").exists()
