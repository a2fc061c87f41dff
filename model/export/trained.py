"""A trained model as what the hardware is built from: its chip, and the words of its memories."""

from pathlib import Path

from model.contract.config import ChipConfig
from model.contract.refusal import Refusal
from model.export.hex import contents
from model.network import ChipModel


def trained(path: Path, rule: str | None = None) -> tuple[ChipConfig, dict[str, list[int]]]:
    """The chip of a saved model and its host banks' words, under its own rule or `none`.

    Raises `Refusal` as `ChipModel.load` does, and for another rule: its memories are others.
    """
    model = ChipModel.load(path)
    if rule not in (None, "none", model.config.rule_name):
        raise Refusal(
            f"{path} was trained under {model.config.rule_name}; "
            f"its weights go with that or none, not with {rule}"
        )
    config = model.config.with_rule(rule) if rule else model.config
    return config, contents(config, model.state_)
