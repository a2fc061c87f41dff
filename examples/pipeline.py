"""The chip in scikit-learn: steps before it, a search over its settings, a report.

python examples/pipeline.py
"""

from dataclasses import replace

import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import classification_report
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from model.contract.config import ChipConfig
from model.contract.presets import preset
from model.network import ChipModel


def to_pixels(x: np.ndarray) -> np.ndarray:
    """Rows of 64 levels 0..16 as the images of 8-bit pixels that the chip takes."""
    return (x.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)


def wider(neurons: int) -> ChipConfig:
    """The preset with so many hidden neurons."""
    chip = preset("digits")
    return replace(chip, hidden=(replace(chip.hidden[0], neurons=neurons),))


def main() -> None:
    """Search on the training part by cross-validation, test the winner once."""
    x, y = load_digits(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(x, y, stratify=y, random_state=0)
    pipeline = make_pipeline(FunctionTransformer(to_pixels), ChipModel(preset("digits"), epochs=2))
    choices = {"chipmodel__config": [wider(neurons) for neurons in (32, 64, 128)]}
    search = GridSearchCV(pipeline, choices, cv=3).fit(x_train, y_train)
    best = search.best_params_["chipmodel__config"]
    print(f"{best.hidden[0].neurons} neurons: {search.best_score_:.2%} in cross-validation")
    print(f"{search.score(x_test, y_test):.2%} of {len(y_test)} test samples")
    print(classification_report(y_test, search.predict(x_test)))


if __name__ == "__main__":
    main()
