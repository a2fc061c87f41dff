"""Options that commands of all rooms share: the same words everywhere, choices listed."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated

import typer

from model.contract.choices import RULES
from model.contract.presets import DATA_SETS, PRESETS


def among(choices: Iterable[str]) -> Callable[[str], list[str]]:
    """What a shell offers while such a choice is typed."""

    def complete(incomplete: str) -> list[str]:  # Typer knows the argument by its name
        return [choice for choice in choices if choice.startswith(incomplete)]

    return complete


PRESETS_LISTED = ", ".join(PRESETS)
RULES_LISTED = ", ".join(RULES)
DATA_LISTED = ", ".join(DATA_SETS)

Preset = Annotated[
    str | None,
    typer.Option(
        help=f"Chip by name (digits where not given): {PRESETS_LISTED}.",
        autocompletion=among(PRESETS),
    ),
]
Config = Annotated[Path | None, typer.Option(help="Chip of your own, as TOML.")]
Rule = Annotated[
    str | None,
    typer.Option(
        help=f"How hidden layers learn (the chip's): {RULES_LISTED}.", autocompletion=among(RULES)
    ),
]
Data = Annotated[
    str | None,
    typer.Option(
        help=f"Data set by name (the one of the chip's size), or path of your own: {DATA_LISTED}.",
        autocompletion=among(DATA_SETS),
    ),
]
DataDir = Annotated[Path | None, typer.Option(help="Folder of the data files.")]
TestFraction = Annotated[
    float | None, typer.Option(help="Share held out for the test (a quarter).")
]
Limit = Annotated[int | None, typer.Option(help="Train on that many samples (all).")]
Epochs = Annotated[int, typer.Option(help="Passes over the training samples.")]
Seed = Annotated[int, typer.Option(help="Of everything drawn at random.")]
Json = Annotated[Path | None, typer.Option(help="Write the figures here, as JSON.")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace what is there instead of refusing to.")
]

Scenario = Annotated[
    str,
    typer.Option(
        help="rotate, invert, dead-rows, contrast, new-classes, drift, split, or a .toml file."
    ),
]
Stream = Annotated[int, typer.Option(help="Samples met once after the change.")]
StreamRate = Annotated[int, typer.Option("--rate", help="Rate step in the stream.")]
SelfLabel = Annotated[
    int | None,
    typer.Option(help="No labels: learn what the best sum wins by that much, such as 131072."),
]
