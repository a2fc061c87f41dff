"""Storage banks: what the chip remembers, word by word, and where each code lies.

A word holds one code per lane, lane 0 in the lowest bits. Address formulas (Python and Verilog
agree because both read them here):

- kernels:    ``(c * groups + k // lanes) * steps + t // P`` of tap ``t = r * R + s``, steps being
              ``ceil(R * R / P)``; lane ``(t % P) * lanes + k % lanes``
- weights:    ``i * groups + j // lanes``, lane ``j % lanes``; the readout's bias is its last row
- modulation: drtp ``label * J + j``, one code a word; sdfa and dfa ``j``, one code a class

The host reaches kernels, weights and modulation. Potentials, sums, the queues that learning
replays, active groups and gate flags are working storage: they appear here for area and energy.
Potentials lie in P memories: place (x, y), group g in memory ``f % P`` at ``f // P * groups + g``
where ``f = x + pitch * y``, so that any P taps of a window in a row lie in all P.
"""

from dataclasses import dataclass

from model.contract.choices import Rule
from model.contract.config import ChipConfig
from model.contract.formats import Format
from model.contract.shapes import TERNARY, ConvShape, LayerShape


@dataclass(frozen=True)
class Bank:
    """One memory: `words` words of `lanes` codes of format `code`, and `tag_bits` beside them."""

    stage: str
    kind: str  #: what it holds: kernels, potentials, weights, sums, queue, ...
    words: int
    lanes: int
    code: Format
    host: bool = False
    tag_bits: int = 0
    copies: int = 1  #: memories alike, `words` words each
    taps: int = 1  #: taps of a kernel side by side in a word, each with its lanes

    @property
    def name(self) -> str:
        """Dotted name: "hidden1.weights"."""
        return f"{self.stage}.{self.kind}"

    @property
    def word_bits(self) -> int:
        """Bits of one word."""
        return self.lanes * self.code.bits + self.tag_bits

    @property
    def bits(self) -> int:
        """Bits of the whole bank."""
        return self.copies * self.words * self.word_bits

    @property
    def memory_bits(self) -> int:
        """Bits of each of its memories."""
        return self.words * self.word_bits

    @property
    def chunks(self) -> int:
        """32-bit bus words that carry one word."""
        return -(-self.word_bits // 32)


def index_bits(size: int) -> int:
    """Bits of an index below `size`, at least one."""
    return max(1, (size - 1).bit_length())


def mark_bits(config: ChipConfig) -> int:
    """Bits of a mark inside the chip: label, learn, rate step, faulty, abort, and the window's."""
    flags = 4 if config.windows > 1 else 3
    return index_bits(config.readout.classes) + index_bits(config.rate_steps) + flags


def queue_depth(shape: LayerShape) -> int:
    """Entries of a learning layer's replay queue: a whole sample and its mark, to a power of 2."""
    return 1 << shape.inputs.bit_length()


def banks(config: ChipConfig) -> tuple[Bank, ...]:
    """All banks of a chip, in the order of the stages. Host banks are numbered in this order."""
    found: list[Bank] = []
    for conv in config.conv_shapes:
        found.extend(_conv_banks(conv))
    for layer in config.layer_shapes:
        words = layer.inputs * layer.groups
        found.append(Bank(layer.name, "weights", words, layer.lanes, layer.weight, True))
        found.append(Bank(layer.name, "sums", layer.groups, layer.lanes, layer.sum))
        if layer.learns:
            found.extend(_learning_banks(config, layer))
    return tuple(found)


def _conv_banks(conv: ConvShape) -> list[Bank]:
    places, lanes = conv.places, conv.lanes
    words = conv.channels * conv.groups * len(conv.window)
    found = [
        Bank(conv.name, "kernels", words, places * lanes, conv.kernel, True, taps=places),
        Bank(conv.name, "potentials", conv.bank_words, lanes, conv.potential, copies=places),
    ]
    if conv.sums_first:
        totals = Bank(conv.name, "totals", len(conv.cell), 1, conv.total, copies=places)
        found.append(totals)
    return found


def _learning_banks(config: ChipConfig, layer: LayerShape) -> list[Bank]:
    item_bits = index_bits(layer.inputs) + layer.value.bits
    beat = Format(1 + max(item_bits, mark_bits(config)))
    group = index_bits(layer.groups)
    found = [
        Bank(layer.name, "queue", queue_depth(layer), 1, beat),
        Bank(layer.name, "active", layer.groups, layer.lanes, layer.modulation, tag_bits=group),
    ]
    if layer.name == "readout":
        return found
    classes = config.readout.classes
    if config.learning.rule is Rule.DRTP:
        found.append(Bank(layer.name, "modulation", classes * layer.outputs, 1, TERNARY, True))
    else:
        found.append(Bank(layer.name, "modulation", layer.outputs, classes, TERNARY, True))
    if config.needs_error:
        found.append(Bank(layer.name, "gates", layer.outputs, 1, Format(2)))
    return found


def bank(config: ChipConfig, name: str) -> Bank:
    """The bank of that name."""
    return next(bank for bank in banks(config) if bank.name == name)


def host_banks(config: ChipConfig) -> tuple[Bank, ...]:
    """The banks that the host reads and writes; a bank's place is its number on the bus."""
    return tuple(bank for bank in banks(config) if bank.host)
