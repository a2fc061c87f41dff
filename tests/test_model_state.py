"""State: fresh from a seed, to arrays and back, hashed in a stated order."""

import hashlib
import struct

import numpy as np
import pytest

from model.contract.choices import RULES
from model.contract.config import ChipConfig
from model.contract.presets import PRESETS, preset
from model.contract.reading import from_dict
from model.contract.refusal import Refusal
from model.contract.storage import host_banks
from model.state import State, bank_shapes, fresh

CHIPS = [preset("tiny", rule) for rule in RULES]
TINY = preset("tiny")


def equal(left: State, right: State) -> bool:
    """Bit for bit."""
    banks = left.banks.keys() == right.banks.keys() and all(
        np.array_equal(bank, right.banks[name]) for name, bank in left.banks.items()
    )
    return banks and left.lfsrs == right.lfsrs


@pytest.mark.parametrize("name", PRESETS)
def test_a_fresh_state_fits_the_host_banks(name: str) -> None:
    config = preset(name)
    state = fresh(config, 0)
    assert {key: bank.shape for key, bank in state.banks.items()} == bank_shapes(config)
    assert list(state.banks) == [bank.name for bank in host_banks(config)]
    for bank in host_banks(config):
        codes = state.banks[bank.name]
        assert bank.code.low <= codes.min()
        assert codes.max() <= bank.code.high


def test_the_same_seed_gives_the_same_state_and_another_another() -> None:
    assert equal(fresh(TINY, 3), fresh(TINY, 3))
    for name in ("hidden1.weights", "hidden1.modulation"):
        assert (fresh(TINY, 3).banks[name] != fresh(TINY, 4).banks[name]).any()
    assert fresh(TINY, 3).lfsrs != fresh(TINY, 4).lfsrs


def test_banks_have_random_streams_of_their_own() -> None:
    """Another rule leaves the first weights as they are."""
    first = [fresh(config, 5).banks["hidden1.weights"] for config in CHIPS]
    assert all((weights == first[0]).all() for weights in first)


def test_the_readout_starts_at_zero_and_hidden_weights_within_their_spread() -> None:
    state = fresh(TINY, 0)
    assert not state.banks["readout.weights"].any()
    spread = TINY.hidden[0].spread
    weights = state.banks["hidden1.weights"]
    assert (weights.min(), weights.max()) == (-spread, spread)


@pytest.mark.parametrize("density", [1, 4, 10])
def test_every_neuron_has_as_many_labels_as_the_density_says(density: int) -> None:
    plain = preset("tiny").to_dict()
    plain["learning"]["density"] = density
    for rule in ("drtp", "dfa"):
        config = from_dict(plain).with_rule(rule)
        projection = fresh(config, 0).banks["hidden1.modulation"]
        labels = 0 if rule == "drtp" else 1
        assert (np.count_nonzero(projection, axis=labels) == density).all()
        assert set(np.unique(projection)) <= {-1, 0, 1}


@pytest.mark.parametrize("seed", range(20))
def test_no_lfsr_starts_at_zero(seed: int) -> None:
    assert all(0 < state < 1 << 16 for state in fresh(TINY, seed).lfsrs.values())


@pytest.mark.parametrize("rule", RULES)
def test_only_what_learns_has_an_lfsr(rule: str) -> None:
    layers = {"none": set(), "shallow": {"readout"}}.get(rule, {"hidden1", "readout"})
    assert fresh(preset("tiny", rule), 0).lfsrs.keys() == layers


def test_a_copy_shares_nothing() -> None:
    state = fresh(TINY, 0)
    copy = state.copy()
    copy.banks["hidden1.weights"][0, 0] += 1
    copy.lfsrs["hidden1"] += 1
    assert equal(state, fresh(TINY, 0))


# -- the hash -----------------------------------------------------------------------------------


def small_weights() -> State:
    """Weights of two layers, written down by hand, in another order than that of the data."""
    return State(
        {
            "readout.weights": np.array([[-1], [258]]),
            "conv1.kernels": np.array([[[[5]]]]),
            "hidden1.weights": np.array([[1, -2], [3, 127]]),
        },
        {},
    )


def test_the_hash_is_over_little_endian_codes_layer_by_layer() -> None:
    content = struct.pack("<6h", 1, -2, 3, 127, -1, 258)
    assert content.hex() == "0100feff03007f00ffff0201"
    assert small_weights().weights_sha256 == hashlib.sha256(content).hexdigest()


def test_the_hash_does_not_see_the_type_or_the_layout_of_an_array() -> None:
    state = small_weights()
    expected = state.weights_sha256
    state.banks["hidden1.weights"] = np.asfortranarray(
        state.banks["hidden1.weights"].astype(np.int8)
    )
    assert state.weights_sha256 == expected


def test_the_hash_sees_every_code() -> None:
    state = small_weights()
    before = state.weights_sha256
    for name in ("hidden1.weights", "readout.weights"):
        for index in np.ndindex(state.banks[name].shape):
            state.banks[name][index] ^= 1
            assert state.weights_sha256 != before
            state.banks[name][index] ^= 1
    assert state.weights_sha256 == before


# -- arrays -------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", CHIPS, ids=lambda config: config.sha256[:8])
def test_a_state_comes_back_from_its_arrays(config: ChipConfig) -> None:
    state = fresh(config, 9)
    assert equal(State.from_arrays(config, state.to_arrays()), state)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        (
            "hidden1.weights.bank",
            None,
            "the state of the chip lacks the array hidden1.weights.bank",
        ),
        ("readout.lfsr", None, "the state of the chip lacks the array readout.lfsr"),
        (
            "hidden1.weights.bank",
            np.zeros((54, 15), np.int16),
            "hidden1.weights.bank must be (54, 16) integers, not (54, 15) int16",
        ),
        (
            "hidden1.weights.bank",
            np.zeros((54, 16)),
            "hidden1.weights.bank must be (54, 16) integers, not (54, 16) float64",
        ),
        (
            "hidden1.weights.bank",
            np.full((54, 16), 128),
            "hidden1.weights.bank must lie in -127..127, not 128..128",
        ),
        (
            "hidden1.modulation.bank",
            np.full((10, 16), -2),
            "hidden1.modulation.bank must lie in -1..1, not -2..-2",
        ),
        ("readout.lfsr", np.array(0), "readout.lfsr must lie in 1..65535, not 0..0"),
        ("readout.lfsr", np.array([1]), "readout.lfsr must be () integers, not (1,) int64"),
    ],
)
def test_arrays_of_another_chip_are_refused(
    name: str, array: np.ndarray | None, message: str
) -> None:
    arrays = fresh(TINY, 0).to_arrays()
    del arrays[name]
    if array is not None:
        arrays[name] = array
    with pytest.raises(Refusal) as refusal:
        State.from_arrays(TINY, arrays)
    assert str(refusal.value) == message
