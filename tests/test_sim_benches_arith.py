"""Benches of what has no state but a register: operators, the update of a word, the LFSR."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from model import arith
from model.contract.choices import Hidden, Learning, Readout
from model.contract.config import ChipConfig
from model.contract.formats import Format
from model.lfsr import Lfsr as Source
from model.lfsr import neuron_masks
from rtl.arith import multiply, popcount, saturate
from rtl.learn import Update, product_bits
from rtl.lfsr import Lfsr
from sim import tools
from sim.benches import bench

SIMULATORS = pytest.mark.parametrize("simulator", tools.DRIVEN)

FORMATS = (
    Format(8, signed=True, symmetric=True),
    Format(8, signed=True),
    Format(8),
    Format(2, signed=True, symmetric=True),
    Format(1),
)
TERNARY = FORMATS[3]
CODE_BITS = 11


class Operators(wiring.Component):
    """Every operator of `rtl.arith` on one signed code, and on it with an unsigned one."""

    def __init__(self) -> None:
        members = {"code": In(signed(CODE_BITS)), "other": In(8)}
        for place, to in enumerate(FORMATS):
            members |= {f"saturated{place}": Out(to.bits), f"outside{place}": Out(1)}
        members |= {f"shifted{shift}": Out(CODE_BITS) for shift in (0, 1, 5, 10, 12)}
        members |= {"product": Out(19), "choice": Out(9), "ones": Out(4), "less": Out(1)}
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for place, to in enumerate(FORMATS):
            code, outside = saturate(self.code, to)
            m.d.comb += getattr(self, f"saturated{place}").eq(code)
            m.d.comb += getattr(self, f"outside{place}").eq(outside)
        for shift in (0, 1, 5, 10, 12):
            m.d.comb += getattr(self, f"shifted{shift}").eq(self.code >> shift)
        ternary, _ = saturate(self.code, TERNARY)
        m.d.comb += [
            self.product.eq(multiply(self.other, self.code, Format(CODE_BITS, signed=True))),
            self.choice.eq(multiply(self.other, ternary, TERNARY)),
            self.ones.eq(popcount(list(self.code))),
            self.less.eq(self.code < self.other),
        ]
        return m


def unsigned(codes: Any, bits: int) -> list[int]:
    """Codes as the bits that hold them."""
    return (np.asarray(codes) & ((1 << bits) - 1)).tolist()


def table(inputs: dict[str, list[int]], outputs: dict[str, list[int]]) -> dict[str, Any]:
    """Columns by name as the rows that `sim.benches.table` takes."""
    rows = list(zip(*inputs.values(), *outputs.values(), strict=True))
    return {"inputs": list(inputs), "outputs": list(outputs), "rows": rows}


@SIMULATORS
def test_operators_equal_the_models_on_all_codes(simulator: str, tmp_path: Path) -> None:
    half = 1 << (CODE_BITS - 1)
    codes = np.arange(-half, half)
    other = np.array([0, 1, 127, 128, 255])[np.arange(len(codes)) % 5]
    outputs: dict[str, list[int]] = {}
    for place, to in enumerate(FORMATS):
        outputs[f"saturated{place}"] = unsigned(arith.saturate(codes, to), to.bits)
        outputs[f"outside{place}"] = [arith.clipped([code], to) for code in codes]
    for shift in (0, 1, 5, 10, 12):
        outputs[f"shifted{shift}"] = unsigned(arith.shift_floor(codes, shift), CODE_BITS)
    outputs["product"] = unsigned(other * codes, 19)
    outputs["choice"] = unsigned(other * np.sign(codes), 9)
    outputs["ones"] = [code.bit_count() for code in unsigned(codes, CODE_BITS)]
    outputs["less"] = (codes < other).astype(int).tolist()
    inputs = {"code": unsigned(codes, CODE_BITS), "other": other.tolist()}
    rows = table(inputs, outputs)
    bench.run(simulator, Operators(), "operators", "sim.benches.table", rows, tmp_path)


def word(codes: Any, bits: int) -> int:
    """Codes of lanes as a word, lane 0 lowest."""
    return sum(code << place * bits for place, code in enumerate(unsigned(codes, bits)))


@SIMULATORS
@pytest.mark.parametrize("lanes", [4, 3])
def test_updates_equal_the_models_at_both_ends(lanes: int, simulator: str, tmp_path: Path) -> None:
    config = ChipConfig(
        name="update",
        height=1,
        width=4,
        lanes=lanes,
        hidden=(Hidden(neurons=12, shift=0, rate_shift=5, threshold=1),),
        readout=Readout(classes=10, shift=0, rate_shift=9),
        learning=Learning(schedule=(0, 1, 3), error_scaled=True),
    )
    shape = config.layer_shapes[0]
    rng = np.random.default_rng(0)
    masks = neuron_masks(shape.outputs, 16).reshape(shape.groups, lanes)
    rows = []
    clips = 0
    for place in range(600):
        group, rate = int(rng.integers(shape.groups)), int(rng.integers(config.rate_steps))
        state = int(rng.integers(1, 1 << 16))
        ends = [shape.weight.low, shape.weight.high]
        corner = place % 2
        weights = rng.choice(ends, lanes) if corner else rng.integers(ends[0], ends[1], lanes)
        values = rng.choice([0, 1, shape.value.high], lanes) if corner else rng.integers(256)
        products = values * rng.integers(shape.modulation.low, shape.modulation.high + 1, lanes)
        change = arith.shift_stochastic(products, shape.rate_shift + rate, state ^ masks[group])
        updated = arith.saturate(weights + change, shape.weight)
        clipped = [arith.clipped([code], shape.weight) for code in weights + change]
        clips += sum(clipped)
        row = {
            "products": word(products, product_bits(shape)),
            "weights": word(weights, shape.weight.bits),
            "group": group,
            "rate": rate,
            "state": state,
            "updated": word(updated, shape.weight.bits),
            "changes": word(updated != weights, 1),
            "clips": word(clipped, 1),
        }
        rows.append(row)
    assert clips > 100
    component = Update(config, shape)
    bench.run(simulator, component, "update", "sim.benches.learn", {"rows": rows}, tmp_path)


@SIMULATORS
@pytest.mark.parametrize("bits", [16, 24, 32])
def test_the_lfsr_steps_as_the_models(bits: int, simulator: str, tmp_path: Path) -> None:
    states = []
    for seed in (1, (1 << bits) - 1, 0xACE1):
        source = Source(bits, seed)
        states.append([seed])
        for _ in range(300):
            source.step()
            states[-1].append(source.state)
    vectors = {"states": states}
    bench.run(simulator, Lfsr(bits), "lfsr", "sim.benches.lfsr", vectors, tmp_path)
