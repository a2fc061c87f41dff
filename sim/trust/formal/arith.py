"""Operators held against comparisons and sums of full width, over all inputs."""

from types import ModuleType

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned

from model.contract import noise
from model.contract.formats import Format
from model.contract.presets import preset
from sim.trust.formal.proof import Claim, Subject
from sim.trust.formal.watch import Watch

FORMATS = (
    Format(4, signed=True),
    Format(8, signed=True),
    Format(8, signed=True, symmetric=True),
    Format(1, signed=False),
    Format(4, signed=False),
    Format(8, signed=False),
)
WIDTHS = (signed(3), signed(9), signed(13), signed(22), unsigned(5), unsigned(12))
TERNARY = Format(2, signed=True, symmetric=True)


def _nearest(code: Value, of: Format) -> Value:
    return Mux(code > of.high, of.high, Mux(code < of.low, of.low, code))


def operators(rtl: ModuleType) -> Watch:
    """Every operator of `rtl.arith`, at widths either side of the format's."""
    w = Watch(Module())
    nearest: Value = Const(1, 1)
    clips: Value = Const(1, 1)
    for number, shape in enumerate(WIDTHS):
        code = w.free(shape, f"code_{number}")
        for of in FORMATS:
            narrowed, clipped = rtl.saturate(code, of)
            wanted = _nearest(code, of)
            nearest = nearest & (narrowed == wanted) & (len(narrowed) == of.bits)
            clips = clips & (clipped == (wanted != code))
    left = w.free(signed(9), "left")
    sign, right = w.free(signed(2), "sign"), w.free(signed(5), "right")
    words = w.free(12, "words")
    index = w.free(3, "index")
    product = rtl.multiply(left, sign, TERNARY) == left * sign
    ones = rtl.popcount(list(words)) == sum(words[n] for n in range(12))
    codes = rtl.lanes(words, Format(4, signed=True), 3)
    packed = rtl.pack(codes, Format(4, signed=True)) == words
    signs = Cat(code < 0 for code in codes) == Cat(words[3], words[7], words[11])
    chosen = rtl.choose([Const(3 * n + 1, 5) for n in range(8)], index) == 3 * index + 1
    wide = rtl.resize(codes, 7)
    parts = [wide[7 * n : 7 * n + 7].as_signed() == code for n, code in enumerate(codes)]
    w.assumed.append(sign != -2)
    w.claims |= {
        "nearest": nearest,
        "clips": clips,
        "multiply": product & (rtl.multiply(left, right, Format(5, signed=True)) == left * right),
        "popcount": ones,
        "words": packed & signs & Cat(parts).all(),
        "choose": chosen,
    }
    w.scenes["negative"] = (left < 0) & (sign < 0) & (index == 7) & words.all()
    return w


def steps(rtl: ModuleType) -> Watch:
    """The LFSR of 16 bits beside the Galois step; no host writes zero: the registers see to it."""
    bits = 16
    lfsr = rtl.Lfsr(bits)
    w = Watch(lfsr)
    before, stepped, written = w.past(lfsr.state), w.past(lfsr.step), w.past(lfsr.seed.write)
    seed, awake = w.past(lfsr.seed.data), w.past(1)
    galois = (before >> 1) ^ Mux(before[0], noise.TAPS[bits], 0)
    w.assumed.append(lfsr.seed.data.any())
    neuron = w.free(6, "neuron")
    masked: Value = Const(0, bits)
    for number, word in enumerate(noise.mask_basis(bits)[2:8]):
        masked = masked ^ Mux(neuron[number], word, 0)
    w.claims |= {
        "step": ~awake | (lfsr.state == Mux(written, seed, Mux(stepped, galois, before))),
        "never_zero": lfsr.state.any(),
        "mask": rtl.mask(neuron, bits, 2) == masked,
    }
    w.scenes |= {"step": awake & stepped & ~written & before[0], "all": neuron.all()}
    return w


def updates(rtl: ModuleType) -> Watch:
    """A word of weights of `tiny`'s readout beside its equation, in whole numbers."""
    config = preset("tiny")
    shape = config.layer_shapes[-1]
    update = rtl.Update(config, shape)
    w = Watch(update)
    width, bits, most = rtl.product_bits(shape), shape.weight.bits, config.learning.lfsr_bits
    shift = shape.rate_shift + update.rate
    updated, changes, clips = Const(1, 1), Const(1, 1), Const(1, 1)
    loaded, held = w.past(update.enable), Signal(name="held")
    w.m.d.sync += held.eq(held | update.enable)
    for lane in range(shape.lanes):
        product = update.products[lane * width : (lane + 1) * width].as_signed()
        mask: Value = Const(0, most)
        neuron = update.group * shape.lanes + lane
        for number, word in enumerate(noise.mask_basis(most)[: len(neuron)]):
            mask = mask ^ Mux(neuron[number], word, 0)
        random = (update.state ^ mask) & ((1 << shift) - 1)[:most]
        step = Signal(signed(32), name=f"step_{lane}")
        with w.m.If(update.enable):
            w.m.d.sync += step.eq((product + random) >> shift)
        weight = update.weights[lane * bits : (lane + 1) * bits].as_signed()
        wanted = _nearest(weight + step, shape.weight)
        found = update.updated[lane * bits : (lane + 1) * bits].as_signed()
        updated = updated & (found == wanted)
        changes = changes & (update.changes[lane] == (wanted != weight))
        clips = clips & (update.clips[lane] == (wanted != weight + step))
    w.assumed += [update.rate < config.rate_steps, update.group < shape.groups]
    w.claims |= {"updated": ~held | updated, "changes": ~held | changes, "clips": ~held | clips}
    w.scenes |= {
        "all_change": loaded & update.changes.all(),
        "clip": loaded & update.clips.any(),
        "still": loaded & ~update.changes.any(),
    }
    return w


SUBJECTS = [
    Subject(
        "operators",
        "rtl.arith",
        operators,
        {
            "nearest": Claim(
                "saturate gives the nearest code, signed or not, symmetric or not",
                "below = negative & ~upper.all() if to.signed else negative",
                "below = negative & ~upper.all()",
            ),
            "clips": Claim(
                "and tells whether that is another",
                "below = below | (negative & ~lower.any())",
                "below = below & ~lower.any()",
            ),
            "multiply": Claim(
                "a product by a ternary code, and by any other, is the product",
                "Mux(right < 0, -left, left)",
                "Mux(right < 0, ~left, left)",
            ),
            "popcount": Claim(
                "popcount is the number of ones",
                "popcount(bits[half:])",
                "popcount(bits[:half])",
            ),
            "words": Claim(
                "a word's lanes are its codes, packed again they are the word",
                "part.as_signed() for part in parts",
                "part for part in parts",
            ),
            "choose": Claim(
                "choose gives the value at the index", "Array(values)", "Array(values[:-1])"
            ),
        },
        depth=1,
    ),
    Subject(
        "LFSR",
        "rtl.lfsr",
        steps,
        {
            "step": Claim(
                "a step is that of the Galois register with the contract's taps; a write wins",
                "state >> 1",
                "state >> 2",
            ),
            "never_zero": Claim(
                "it never stands at zero, from which none steps away",
                "(state >> 1) ^ Mux(state[0], noise.TAPS[self.bits], 0)",
                "(state >> 1) ^ Mux(state[0], 0, 0)",
            ),
            "mask": Claim(
                "a neuron's mask is the exclusive-or of the basis over the ones of its number",
                "Cat(*column).xor()",
                "Cat(*column).any()",
            ),
        },
        depth=20,
    ),
    Subject(
        "update",
        "rtl.learn",
        updates,
        {
            "updated": Claim(
                "a weight becomes w + floor((product + random) / 2**shift), saturated",
                "total.eq(product + (random & kept))",
                "total.eq(product + random)",
            ),
            "changes": Claim(
                "a lane changes exactly where its weight becomes another",
                "(step == 0) | (weight == of.high)",
                "(step == 0)",
            ),
            "clips": Claim(
                "a lane clips exactly where the sum leaves the format",
                "code, clipped = saturate(weight + step, shape.weight)",
                "code, clipped = saturate(weight, shape.weight)",
            ),
        },
        depth=3,
    ),
]
