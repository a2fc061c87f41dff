"""What the hardware does when a counter moves: operations with their widths and memories.

Widths and memories come from the configuration, so that a chip with other formats is priced by its
own. An action that costs nothing says why. Twin: the stages of `rtl/`.
"""

from dataclasses import dataclass
from enum import StrEnum

from model.contract import event
from model.contract.choices import Activation, Pooling, Rule
from model.contract.choices import Conv as ConvStage
from model.contract.config import ChipConfig
from model.contract.counters import Phase
from model.contract.formats import Format
from model.contract.shapes import TERNARY, ConvShape, LayerShape
from model.contract.storage import Bank, bank, index_bits, mark_bits
from model.cost.tables import Table
from model.cost.technology import Technology


class Part(StrEnum):
    """What kind of hardware spends the energy."""

    MEMORY = "memory"
    ARITHMETIC = "arithmetic"
    REGISTERS = "registers"


@dataclass(frozen=True)
class Add:
    """An addition or subtraction."""

    bits: int
    part = Part.ARITHMETIC

    def energy_pj(self, table: Table, technology: Technology) -> float:
        return table.add_pj(self.bits, technology)


@dataclass(frozen=True)
class Multiply:
    """A multiplication."""

    left_bits: int
    right_bits: int
    part = Part.ARITHMETIC

    def energy_pj(self, table: Table, technology: Technology) -> float:
        return table.multiply_pj(self.left_bits, self.right_bits, technology)


@dataclass(frozen=True)
class Compare:
    """A comparison."""

    bits: int
    part = Part.ARITHMETIC

    def energy_pj(self, table: Table, technology: Technology) -> float:
        return table.compare_pj(self.bits, technology)


@dataclass(frozen=True)
class Register:
    """Writing and reading a register."""

    bits: int
    part = Part.REGISTERS

    def energy_pj(self, table: Table, technology: Technology) -> float:
        return table.register_pj(self.bits, technology)


@dataclass(frozen=True)
class Access:
    """Reading or writing one word of a memory."""

    bank: Bank
    part = Part.MEMORY

    def energy_pj(self, table: Table, technology: Technology) -> float:
        return table.access_pj(self.bank.memory_bits, self.bank.word_bits, technology)


Operation = Add | Multiply | Compare | Register | Access


@dataclass(frozen=True)
class Use:
    """So many of one operation, on behalf of a phase."""

    operation: Operation
    times: float = 1
    phase: Phase = Phase.FORWARD


@dataclass(frozen=True)
class Free:
    """An action without a price, and why."""

    reason: str


Action = tuple[Use, ...] | Free

#: Counted for each sample that is learned, beside the counters of the contract.
LEARNED_SAMPLES = "learned_samples"


def actions(config: ChipConfig) -> dict[str, Action]:
    """Dotted name of a counter -> what one step of it does.

    Names ending in `LEARNED_SAMPLES` are what one learned sample does in a layer whatever its data.
    """
    found = _encode(config)
    for number, (stage, shape) in enumerate(zip(config.conv, config.conv_shapes, strict=True)):
        found |= _conv(config, shape.name, stage, shape, number == 0)
    for number, layer in enumerate(config.layer_shapes):
        found |= _forward(config, layer, number)
        if layer.learns:
            found |= _learn(config, layer)
    return found


def _encode(config: ChipConfig) -> dict[str, Action]:
    checks = (
        Use(Compare(event.X_BITS)),
        Use(Compare(event.Y_BITS)),
        Use(Compare(event.CHANNEL_BITS)),
        Use(Compare(event.TIME_BITS), 2),
    )
    place = index_bits(config.height * config.width * config.channels)
    beat = place + config.pixel.bits + event.X_BITS + event.Y_BITS
    return {
        "encode.events": (*checks, Use(Add(place), 2), Use(Register(beat + event.TIME_BITS))),
        "encode.dropped_events": checks,
        "encode.samples": (Use(Register(mark_bits(config))),),
        "encode.refused_marks": Free("its checks are those of every mark, a few gates"),
    }


def _product(value: Format, code: Format) -> Use:
    """A product; by a ternary code it is a choice of -value, 0 and value: a subtraction."""
    if code.high == TERNARY.high:
        return Use(Add(value.bits + 1))
    return Use(Multiply(value.bits, code.bits))


def _conv(
    config: ChipConfig, name: str, stage: ConvStage, shape: ConvShape, saturates: bool
) -> dict[str, Action]:
    kernels, potentials = bank(config, f"{name}.kernels"), bank(config, f"{name}.potentials")
    address = index_bits(potentials.words)
    potential, pooled = shape.potential.bits, shape.pooled.bits
    mac = [_product(shape.value, shape.kernel), Use(Add(potential))]
    if saturates:
        mac.append(Use(Compare(potential + 1), 2))
    join = Add(pooled) if stage.pooling is Pooling.AVERAGE else Compare(pooled)
    place = index_bits(config.windows * shape.features)
    found: dict[str, Action] = {
        f"{name}.events": (
            Use(Add(event.X_BITS), 2),
            Use(Add(event.Y_BITS), 2),
            Use(Access(kernels), shape.groups * len(shape.window)),
        ),
        f"{name}.words": (
            Use(Access(potentials), 2),
            Use(Add(address)),
            Use(Register(address + shape.value.bits)),
        ),
        f"{name}.macs": tuple(mac),
        f"{name}.pool_words": (
            Use(Access(potentials), 2),
            Use(Add(address)),
            *_inhibition(stage, shape, potentials),
            Use(join, shape.lanes),
            Use(Register(pooled), shape.lanes),
        ),
        f"{name}.features": (Use(Compare(pooled)), Use(Add(place), 2)),
        f"{name}.feature_saturations": Free("the comparison is priced with each feature"),
    }
    if saturates:
        found[f"{name}.potential_saturations"] = Free("the comparison is priced with each mac")
    return found


def _inhibition(stage: ConvStage, shape: ConvShape, potentials: Bank) -> tuple[Use, ...]:
    """What inhibition does with each potential word: add its lanes up, subtract from each.

    A place of several words is read once before, for the total of all its kernels.
    """
    if stage.inhibition is None:
        return ()
    one_word = shape.groups == 1
    uses = (
        Use(Add(shape.total.bits), shape.lanes - one_word),
        Use(Add(shape.potential.bits), shape.lanes),
        Use(Register(shape.total.bits)),
    )
    return uses if one_word else (*uses, Use(Access(potentials)))


def _sums(config: ChipConfig, layer: LayerShape) -> Operation:
    """One access to a word of sums; a single word lies in registers."""
    sums = bank(config, f"{layer.name}.sums")
    return Access(sums) if layer.groups > 1 else Register(sums.word_bits)


def _forward(config: ChipConfig, layer: LayerShape, number: int) -> dict[str, Action]:
    name, learn = layer.name, Phase.LEARN
    readout = name == "readout"
    total = layer.sum.bits
    weights, sums = bank(config, f"{name}.weights"), _sums(config, layer)
    if layer.learns:
        # The queue exists for learning, but every item passes through it on its way forward.
        queue = Access(bank(config, f"{name}.queue"))
        item = (Use(queue, 2, learn),)
    else:
        item = (Use(Register(index_bits(layer.inputs) + layer.value.bits)),)
    mac = [Use(Multiply(layer.value.bits, layer.weight.bits)), Use(Add(total))]
    if layer.saturating:
        mac.append(Use(Compare(total + 1), 2))
    neuron = [
        Use(sums, 2 / layer.lanes),
        Use(Register(total + index_bits(layer.outputs) + mark_bits(config))),
    ]
    if readout:
        neuron += [Use(Compare(total), 3)]  # two ends of the score, and the running maximum
    elif config.hidden[number].activation is Activation.TANH:
        neuron += [Use(Compare(total), 2)]
    if layer.learns and not readout:
        neuron += _gate(config, layer)
    found: dict[str, Action] = {
        f"{name}.items": item,
        f"{name}.words": (
            Use(Access(weights)),
            Use(sums, 2),
            Use(Add(index_bits(weights.words))),
            Use(Register(layer.value.bits + index_bits(layer.groups))),
        ),
        f"{name}.macs": tuple(mac),
        f"{name}.sums": tuple(neuron),
    }
    if readout:
        found["readout.score_saturations"] = Free("the comparison is priced with each sum")
    else:
        found[f"{name}.activation_saturations"] = Free("the comparison is priced with each sum")
        found[f"{name}.activations"] = Free("what takes an activation in is priced as its item")
    if layer.saturating:
        found[f"{name}.sum_saturations"] = Free("the comparison is priced with each mac")
    return found


def _gate(config: ChipConfig, layer: LayerShape) -> list[Use]:
    """What a hidden layer that learns does with every sum, of samples not learned too."""
    learn = Phase.LEARN
    thresholds = Use(Compare(layer.sum.bits), 2, learn)
    if config.needs_error:
        return [thresholds, Use(Access(bank(config, f"{layer.name}.gates")), 1, learn)]
    return [thresholds, Use(Access(bank(config, f"{layer.name}.modulation")), 1, learn)]


def _learn(config: ChipConfig, layer: LayerShape) -> dict[str, Action]:
    name = layer.name
    active = Access(bank(config, f"{name}.active"))
    weights = Access(bank(config, f"{name}.weights"))
    product = _product(layer.value, layer.modulation)
    most = layer.rate_shift + config.rate_steps - 1
    total = 1 + max(layer.value.bits + layer.modulation.bits, most + 1)
    update = (
        product,
        Use(Add(total)),  # the random number
        Use(Add(layer.weight.bits + 1)),
        Use(Compare(layer.weight.bits + 1), 2),
    )

    def learning(*uses: Use) -> tuple[Use, ...]:
        return tuple(Use(use.operation, use.times, Phase.LEARN) for use in uses)

    lanes = (Use(use.operation, use.times * layer.lanes) for use in update)
    return {
        # A listed group has at least one modulation: so many list entries at most.
        f"{name}.modulated": learning(Use(active), Use(Register(layer.modulation.bits))),
        f"{name}.learn_items": learning(
            Use(Access(bank(config, f"{name}.queue"))),
            Use(Register(config.learning.lfsr_bits)),
        ),
        f"{name}.learn_reads": learning(
            Use(weights), Use(active), Use(Add(index_bits(layer.inputs * layer.groups))), *lanes
        ),
        f"{name}.learn_writes": learning(Use(weights)),
        f"{name}.updates": Free("a word is written whole: priced as a write"),
        f"{name}.weight_saturations": Free("the comparison is priced with each word read"),
        f"{name}.{LEARNED_SAMPLES}": learning(*_each_learned_sample(config, layer)),
    }


def _each_learned_sample(config: ChipConfig, layer: LayerShape) -> list[Use]:
    """The walk over all neurons that fills the list of active groups."""
    neurons = layer.outputs
    found = [Use(Register(layer.modulation.bits), neurons)]
    if layer.name == "readout":
        return [*found, Use(Add(layer.modulation.bits), neurons)]  # the error
    if not config.needs_error:
        return found
    for kind in ("gates", "modulation"):
        found.append(Use(Access(bank(config, f"{layer.name}.{kind}")), neurons))
    if config.learning.rule is Rule.DRTP:
        shift = config.learning.error_shift
        return [*found, Use(Add(layer.modulation.bits + shift), 2 * neurons)]
    classes = config.readout.classes
    return [*found, Use(Add(layer.modulation.bits), neurons * (classes - 1))]
