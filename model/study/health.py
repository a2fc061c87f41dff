"""Health: whether a chip's numbers leave it room to learn, and what to change where they do not."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from model.arith import Codes
from model.contract.choices import Activation
from model.contract.config import ChipConfig
from model.network import Images
from model.state import State
from model.study.profile import Profile, profiles

LOOKED_AT = 256  #: samples that the codes are taken from

FEW_FEATURES = 0.005  #: share of features that are not zero, below which nearly nothing is seen
CUT_FEATURES = 0.2  #: share of those that saturate, above which they say little
FEW_ACTIVATIONS = 0.1  #: share of activations beyond 1 in magnitude
RIM_WEIGHTS = 0.1  #: share of weights at an end of their format


@dataclass(frozen=True)
class Health:
    """Shares by what they are of, in the order of the data, and what to change, if anything."""

    shares: dict[str, float]
    advice: list[str]

    def figures(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {"shares": self.shares, "advice": self.advice}


def health(
    config: ChipConfig, state: State, counters: dict[str, int], images: Images, labels: Codes
) -> Health:
    """Of a chip after training.

    Parameters: `counters` of the training by dotted name; `images` and `labels` of which the first
    `LOOKED_AT` are shown to a copy of the chip.
    """
    few = images[:LOOKED_AT], labels[:LOOKED_AT]
    found = {profile.tensor: profile for profile in profiles(config, state, *few)}
    shares: dict[str, float] = {}
    advice: list[str] = []
    for shape in config.conv_shapes:
        _features(shape.name, found[f"{shape.name}.features"], shares, advice)
    for number, layer in enumerate(config.hidden, start=1):
        if layer.activation is Activation.TANH:
            _activations(f"hidden{number}", found[f"hidden{number}.activations"], shares, advice)
    for layer_shape in config.layer_shapes:
        if layer_shape.learns:
            name = layer_shape.name
            updates = counters[f"{name}.updates"]
            _weights(name, found[f"{name}.weights"], updates, shares, advice)
    return Health(shares, advice)


def _features(name: str, profile: Profile, shares: dict[str, float], advice: list[str]) -> None:
    seen = 1 - profile.shares[0]
    cut = profile.saturated / seen if seen else 0.0
    shares[f"{name} features not zero"], shares["of them saturated"] = seen, cut
    if seen == 0:
        advice.append(f"{name} never has a feature, so the chip cannot learn: lower {name}.shift")
    elif seen < FEW_FEATURES:
        advice.append(f"{seen:.2%} of {name}'s features are not zero: lower {name}.shift")
    if cut > CUT_FEATURES:
        advice.append(f"{cut:.0%} of {name}'s features are cut at their top: raise {name}.shift")


def _activations(name: str, profile: Profile, shares: dict[str, float], advice: list[str]) -> None:
    sent = 1 - sum(profile.shares[:2])  # a small sum below zero is shifted to -1
    shares[f"{name} activations saturated"] = profile.saturated
    if sent < FEW_ACTIVATIONS:
        advice.append(f"{sent:.0%} of {name}'s activations pass 1: lower {name}.shift")


def _weights(
    name: str, profile: Profile, updates: int, shares: dict[str, float], advice: list[str]
) -> None:
    shares[f"{name} weights at the rim"] = profile.saturated
    if updates == 0:
        gate = f", or raise {name}.threshold" if name != "readout" else ""
        advice.append(f"{name} never changed a weight: lower {name}.rate_shift{gate}")
    if profile.saturated > RIM_WEIGHTS:
        advice.append(
            f"{profile.saturated:.0%} of {name}'s weights stand at an end of their format: raise "
            f"{name}.rate_shift, or weight_bits"
        )


def equal_samples(train: Images, test: Images) -> int:
    """How many images of the test are among those of the training, to the last pixel."""
    learned = {np.ascontiguousarray(image).tobytes() for image in train}
    return sum(np.ascontiguousarray(image).tobytes() in learned for image in test)
