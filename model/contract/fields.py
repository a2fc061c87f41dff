"""Every field of a configuration: what it means, its range, and how to choose it.

The one text behind a drafted TOML, the editor's schema and the reference page. Stages and layers
share the entries of their kind: "conv.kernels" speaks of `[[conv]]`, whichever its number.
"""

from dataclasses import dataclass

from model.contract import event, noise
from model.contract.choices import Activation, Coding, Gate, Pooling, Rule


@dataclass(frozen=True)
class Explanation:
    """Of one field: `meaning`, `advice` on how to choose it, and the values it may take.

    `low` and `high` bound an integer (of a list: each of them); `values` are the words it may be.
    """

    meaning: str
    advice: str
    low: int | None = None
    high: int | None = None
    values: tuple[str, ...] = ()

    @property
    def range(self) -> str:
        """The values in words; empty where any do."""
        if self.values:
            return ", ".join(self.values)
        return "" if self.low is None else f"{self.low} to {self.high}"


FIELDS: dict[str, Explanation] = {
    "name": Explanation("name of the chip and of its Verilog module", "letters, digits and dashes"),
    "height": Explanation("rows of the input map", "those of your images", 1, 1 << event.Y_BITS),
    "width": Explanation("columns of the input map", "those of your images", 1, 1 << event.X_BITS),
    "channels": Explanation(
        "input channels", "1 for grey, 3 for colour", 1, 1 << event.CHANNEL_BITS
    ),
    "coding": Explanation(
        "what an event is worth: the more the earlier it comes, or one",
        "first_spike for images, count for recordings of event cameras",
        values=tuple(Coding),
    ),
    "windows": Explanation(
        "parts of a sample, each convolved for itself, all their features learned together",
        "1; as many as saccades for recordings of moving cameras",
        1,
        16,
    ),
    "pixel_bits": Explanation(
        "bits of an input value, of which 8-bit levels keep the upper ones; of a pixel's count",
        "8; fewer make events rarer and products narrower",
        1,
        event.TIME_BITS,
    ),
    "weight_bits": Explanation(
        "bits of every learned weight, signed", "8; below 6 accuracy falls", 2, 16
    ),
    "lanes": Explanation(
        "neurons or kernels that a stage treats in one cycle",
        "more is faster and larger, with the same results; must divide the hidden neurons",
        1,
        32,
    ),
    "counters": Explanation(
        "whether activity counters are built", "true; false saves 48 bits of registers for each"
    ),
    "rules": Explanation(
        "by rule, [rules.dfa]: the fields that it sets for itself when the chip learns by it",
        "a rule without its table learns with the settings of the chip's own rule, and badly",
    ),
    "conv.kernels": Explanation(
        "number of fixed kernels K", "10 for one Gabor bank; features grow with it", 1, 1024
    ),
    "conv.size": Explanation("side R of a kernel", "5 from 16 pixels a side on, else 3", 1, 15),
    "conv.padding": Explanation(
        "zeros around the map", "0; more only so that `pool` divides the map", 0, 14
    ),
    "conv.pool": Explanation(
        "side of a pooling cell; must divide the map", "4 to 8 cells a side do well", 1, 16
    ),
    "conv.pooling": Explanation("what a cell becomes", "average", values=tuple(Pooling)),
    "conv.shift": Explanation(
        "feature = pooled >> shift, saturated",
        "so that about one feature in a hundred saturates; `calibrate` finds it",
        0,
        24,
    ),
    "conv.kernel_bits": Explanation(
        "bits of a kernel's code, signed", "8; 2 makes kernels ternary: additions only", 2, 8
    ),
    "conv.feature_bits": Explanation("bits of a feature", "8", 1, 8),
    "conv.inhibition": Explanation(
        "before pooling, each kernel loses the rectified sum of all kernels of its place >> this",
        "2 for a Gabor bank of 8-bit kernels; left out for random or ternary ones",
        1,
        24,
    ),
    "conv.lanes": Explanation(
        "kernels a memory word, added to at once; results do not depend on it",
        "left out for the chip's `lanes`; no more than `kernels` are built",
        1,
        32,
    ),
    "conv.places": Explanation(
        "places of the map worked on in a cycle, each in a memory of its own; results do not "
        "depend on it",
        "1; the stage takes ceil(size**2 / places) cycles an event, and places * lanes multipliers",
        1,
        32,
    ),
    "conv.bank": Explanation(
        'where kernels come from: "gabor", "random", or the path of an .npy file of codes',
        "gabor for grey images, random for colour",
    ),
    "hidden.neurons": Explanation(
        "neurons J of the layer", "64 to 256; memory grows with it", 1, 1 << len(noise.MASK_BASIS)
    ),
    "hidden.shift": Explanation(
        "activation = sum >> shift, saturated at 127",
        "so that it saturates near `threshold`: log2(threshold) - 7",
        0,
        24,
    ),
    "hidden.rate_shift": Explanation(
        "learning rate 2**-rate_shift", "one more halves the rate; `calibrate` finds it", 1, 24
    ),
    "hidden.lanes": Explanation(
        "neurons a memory word, worked on at once; must divide `neurons`",
        "left out for the chip's `lanes`",
        1,
        32,
    ),
    "hidden.threshold": Explanation(
        "sum from which the gate calls a neuron saturated, and stops its learning",
        "too low learns little, too high forgets; `calibrate` finds it",
        1,
        1 << 24,
    ),
    "hidden.activation": Explanation(
        "tanh saturates a shifted sum, sign keeps its sign alone",
        "tanh; sign spares the next layer its multipliers",
        values=tuple(Activation),
    ),
    "hidden.spread": Explanation(
        "first weights are uniform in -spread..spread", "about 10 of 127", 0, 32767
    ),
    "readout.classes": Explanation(
        "number of classes", "those of your labels", 2, 1 << event.LABEL_BITS
    ),
    "readout.shift": Explanation(
        "score = (sum >> shift) + 128, saturated to 0..255",
        "so that scores of learned samples reach both ends; `calibrate` finds it",
        0,
        24,
    ),
    "readout.rate_shift": Explanation(
        "learning rate 2**-rate_shift", "about `shift` + 3; `calibrate` finds it", 1, 24
    ),
    "readout.lanes": Explanation(
        "classes a memory word, worked on at once",
        "2 are enough beside a convolution; left out for the chip's `lanes`",
        1,
        32,
    ),
    "learning.rule": Explanation(
        "how the layers learn", "drtp; none leaves the learning hardware out", values=tuple(Rule)
    ),
    "learning.gate": Explanation(
        "where a saturated neuron stops learning: on either side, or on the side it is driven to",
        "one_sided with a sparse B, box with a dense one",
        values=tuple(Gate),
    ),
    "learning.density": Explanation(
        "labels a neuron listens to (entries of its row of B that are not zero)",
        "4 of 10 for drtp; all classes for sdfa and dfa",
        1,
        1 << event.LABEL_BITS,
    ),
    "learning.error_scaled": Explanation(
        "drtp: scale the modulation by the label's own error", "false"
    ),
    "learning.error_shift": Explanation("of the scaled modulation", "6", 0, 8),
    "learning.error_threshold": Explanation(
        "dfa: errors below it in magnitude count as zero", "48", 1, 255
    ),
    "learning.schedule": Explanation(
        "added to all rate shifts, in equal parts of training",
        "a falling rate: [0, 1, 1, 2, 3]",
        0,
        (1 << event.RATE_BITS) - 1,
    ),
    "learning.lfsr_bits": Explanation(
        "width of the random numbers that round updates; no rate shift may exceed it",
        "16; 24 where rate shifts pass 16",
        values=tuple(map(str, noise.TAPS)),
    ),
}
"""Dotted name -> what to know of it, in the order of a configuration."""
