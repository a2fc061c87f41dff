"""Own images to a chip: draft, calibrate, train, test once, and write C and Verilog that hold it.

    python examples/own_images.py [FOLDER]

The images here are drawn (16 x 16 crosses, rings and bars); put your own into `images()`.
"""

import sys
from pathlib import Path

import numpy as np
from joblib import parallel_config

from model.contract.artifact import write_text
from model.data import load
from model.export import c, hex
from model.network import ChipModel
from model.study.calibrate import calibrate
from model.study.draft import drafted
from rtl.emit import emit_loaded

SIZE, SAMPLES = 16, 900


def images() -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 16, 16) uint8 and their classes (N,): 0 crosses, 1 rings, 2 bars."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, SAMPLES)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    drawn = []
    for label in labels:
        y, x = rng.integers(6, 10, 2)
        near = (abs(rows - y) < 4) & (abs(columns - x) < 4)
        figure = (
            ((rows == y) | (columns == x)) & near,
            abs(np.hypot(rows - y, columns - x) - 3) < 0.7,
            (rows == y) & near,
        )[label]
        drawn.append(200 * figure + rng.normal(0, 12, (SIZE, SIZE)))
    return np.clip(drawn, 0, 255).astype(np.uint8), labels


def main(folder: Path) -> None:
    """Go all the way; everything lies in the folder afterwards."""
    folder.mkdir(parents=True, exist_ok=True)
    x, y = images()
    np.savez(folder / "images.npz", x=x, y=y)
    data = load(str(folder / "images.npz"))
    with parallel_config(n_jobs=-1):
        found = calibrate(drafted(data, "shapes"), data.x_train, data.y_train, brief=True)
    print(f"{found.accuracy:.2%} of {found.validation_samples} validation samples")
    model = ChipModel(found.config, epochs=3).fit(data.x_train, data.y_train)
    print(f"{model.score(data.x_test, data.y_test):.2%} of {len(data.y_test)} test samples")
    model.save(folder / "shapes.npz")
    for name, text in c.files(model.config, model.state_).items():
        write_text(folder / "c" / name, text)
    words = hex.contents(model.config, model.state_)
    emit_loaded(model.config, words, monitors=False).write(folder / "rtl")
    print(f"C in {folder / 'c'}, Verilog that holds the weights in {folder / 'rtl'}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "build/own_images"))
