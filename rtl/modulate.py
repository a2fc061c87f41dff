"""Modulation of hidden neurons: what multiplies their inputs in the update.

Twin: `model/hidden.py` (`modulate`).
"""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from model.contract.choices import Gate
from model.contract.config import ChipConfig
from model.contract.shapes import ERROR, SCALED_MODULATION, TERNARY
from model.contract.storage import bank, index_bits
from rtl.arith import choose, lanes, multiply, saturate
from rtl.beat import ERROR_BEAT, mark_layout, sum_beat
from rtl.learner import modulation_stream
from rtl.lfsr import mask
from rtl.ports import BankPort
from rtl.storage import Bank


class Gated(wiring.Component):
    """A modulation passed through the gate, which stands for the activation's derivative.

    Members: `code`; `high`, `low` (the neuron's sum is saturated above, below); `gated`.
    Timing: combinational.
    """

    def __init__(self, config: ChipConfig) -> None:
        self.box = config.learning.gate is Gate.BOX
        span = config.modulation.span
        super().__init__({"code": In(span), "high": In(1), "low": In(1), "gated": Out(span)})

    def elaborate(self, platform: object) -> Module:
        """Zero where the gate is closed."""
        m = Module()
        closed = self.high | self.low
        if not self.box:
            closed = ((self.code > 0) & self.high) | ((self.code < 0) & self.low)
        m.d.comb += self.gated.eq(Mux(closed, 0, self.code))
        return m


def _row(config: ChipConfig, label: Value, outputs: int) -> Value:
    """Where the row of B begins that a label selects."""
    return choose([Const(n * outputs) for n in range(config.readout.classes)], label)


class _Modulate(wiring.Component):
    """What both ways have in common: the layer, its bank of B, the sums that pass, modulations.

    Members: as `ModulateByLabel` tells, and those that `more` names.
    """

    def __init__(self, config: ChipConfig, number: int, more: dict[str, Any]) -> None:
        self.config = config
        self.layer, self.shape = config.hidden[number], config.layer_shapes[number]
        self.bank = bank(config, f"{self.shape.name}.modulation")
        beat = sum_beat(config, self.shape.outputs, self.shape.sum)
        super().__init__(
            {
                **{"accept": In(1), "coming": In(beat), "leaving": In(1), "neuron": In(beat)},
                **more,
                "modulation": Out(modulation_stream(self.shape)),
                "projection": In(BankPort(self.bank.word_bits, self.bank.words)),
                "busy": Out(1),
            }
        )


class ModulateByLabel(_Modulate):
    """drtp: the row of B that the label selects, read as the sum comes in.

    Members: `accept` (the sum beat `coming` enters the neuron register), `leaving` (the one that is
    there, `neuron`, leaves it); `modulation` (of the neuron that leaves, of samples to be learned);
    `projection` (the host's bank port), `busy` (never).
    Timing: a neuron a cycle, in the cycle in which it leaves. Samples that are not learned read
    nothing.
    """

    def __init__(self, config: ChipConfig, number: int) -> None:
        super().__init__(config, number, {})

    def elaborate(self, platform: object) -> Module:
        """Build the bank, its address and the gate."""
        m = Module()
        m.submodules.bank = projection = Bank(self.bank)
        m.submodules.gate = gate = Gated(self.config)
        wiring.connect(m, wiring.flipped(self.projection), projection.host)
        coming, neuron = self.coming, self.neuron
        valid = self.leaving & ~neuron.end & neuron.mark.learn
        row = _row(self.config, coming.mark.label, self.shape.outputs)
        m.d.comb += [
            projection.stage.enable.eq(self.accept & coming.mark.learn),
            projection.stage.address.eq(row + coming.neuron),
            gate.code.eq(projection.stage.read_data.as_signed()),
            gate.high.eq(valid & (neuron.sum >= self.layer.threshold)),
            gate.low.eq(valid & (neuron.sum <= -self.layer.threshold)),
            self.modulation.valid.eq(valid),
            self.modulation.payload.code.eq(gate.gated),
        ]
        return m


class ModulateByError(_Modulate):
    """Rules that need the error: keep the gate flags, wait, go over the neurons again.

    sdfa and dfa: the sum of B's codes of a neuron, each times the ternary error of its class; drtp
    scaled: B's code times the label's own error, rounded stochastically, saturated.

    Members: those of `ModulateByLabel`; `errors` (of a learned sample, one a class; always ready),
    `state` (of the LFSR), `step` (it moves on: a random number has been used); `busy` (a sample is
    still to be modulated).
    Timing: a neuron a cycle, from the third cycle after the last error.
    """

    def __init__(self, config: ChipConfig, number: int) -> None:
        errors = {
            "errors": In(stream.Signature(ERROR_BEAT, always_ready=True)),
            "state": In(config.learning.lfsr_bits),
            "step": Out(1),
        }
        super().__init__(config, number, errors)

    def elaborate(self, platform: object) -> Module:
        """Build the memory of gate flags and the second walk."""
        m = Module()
        shape, neuron, modulation = self.shape, self.neuron, self.modulation
        m.submodules.bank = projection = Bank(self.bank)
        m.submodules.gate = gate = Gated(self.config)
        m.submodules.gates = gates = memory.Memory(shape=2, depth=shape.outputs, init=[])
        wiring.connect(m, wiring.flipped(self.projection), projection.host)
        read, write = gates.read_port(), gates.write_port()
        mark = Signal(mark_layout(self.config))
        place, before = Signal(index_bits(shape.outputs)), Signal(index_bits(shape.outputs))
        reading, pending = Signal(), Signal()
        scaled = self.config.learning.error_scaled
        if scaled:
            heard, code = self._scale(m, projection, mark, before)
            address = _row(self.config, mark.label, shape.outputs) + place
        else:
            heard, code = self._project(m, projection)
            address = place
        learned = self.leaving & neuron.mark.learn
        m.d.comb += [
            write.addr.eq(neuron.neuron),
            write.data.eq(
                Cat(neuron.sum >= self.layer.threshold, neuron.sum <= -self.layer.threshold)
            ),
            write.en.eq(learned & ~neuron.end),
            read.addr.eq(place),
            read.en.eq(reading),
            projection.stage.enable.eq(reading),
            projection.stage.address.eq(address),
            gate.code.eq(code),
            gate.high.eq(read.data[0]),
            gate.low.eq(read.data[1]),
            modulation.valid.eq(pending),
            modulation.payload.code.eq(gate.gated),
        ]
        m.d.sync += pending.eq(reading)
        with m.If(reading):
            m.d.sync += before.eq(place)
        with m.FSM() as fsm:
            with m.State("IDLE"):
                with m.If(learned & neuron.end):
                    m.d.sync += [mark.eq(neuron.mark), place.eq(0)]
                    m.next = "HEAR"
            with m.State("HEAR"):
                with m.If(heard):
                    m.next = "WALK"
            with m.State("WALK"):
                m.d.comb += reading.eq(1)
                m.d.sync += place.eq(place + 1)
                with m.If(place == shape.outputs - 1):
                    m.next = "LAST"
            with m.State("LAST"):
                m.d.comb += self.step.eq(scaled)
                m.next = "IDLE"
        m.d.comb += self.busy.eq(~fsm.ongoing("IDLE"))
        return m

    def _hear(self, m: Module) -> tuple[Signal, Signal]:
        """Count the classes of a sample's errors; returns whether all are in, and the count."""
        errors, classes = self.errors, self.config.readout.classes
        number, heard = Signal(index_bits(classes)), Signal()
        with m.If(errors.valid):
            m.d.sync += number.eq(number + 1)
            with m.If(number == classes - 1):
                m.d.sync += [number.eq(0), heard.eq(1)]
        with m.Elif(heard):
            m.d.sync += heard.eq(0)
        return heard, number

    def _project(self, m: Module, projection: Bank) -> tuple[Signal, Value]:
        """The sum of B's codes of a neuron, each times the ternary error."""
        heard, number = self._hear(m)
        classes, threshold = self.config.readout.classes, self.config.error_threshold
        error = self.errors.payload.code
        ternary = Mux(error >= threshold, 1, Mux(error <= -threshold, -1, 0))
        kept = [Signal(TERNARY.span, name=f"error{n}") for n in range(classes)]
        for place, code in enumerate(kept):
            with m.If(self.errors.valid & (number == place)):
                m.d.sync += code.eq(ternary)
        row = lanes(projection.stage.read_data, TERNARY, classes)
        return heard, sum(
            (multiply(code, entry, TERNARY) for code, entry in zip(kept, row, strict=True)),
            start=Const(0, 1),
        )

    def _scale(
        self, m: Module, projection: Bank, mark: Signal, neuron: Value
    ) -> tuple[Signal, Value]:
        """B's code times the label's own error, rounded stochastically, saturated."""
        heard, number = self._hear(m)
        kept = Signal(ERROR.span)
        with m.If(self.errors.valid & (number == mark.label)):
            m.d.sync += kept.eq(self.errors.payload.code)
        shift = self.config.learning.error_shift
        random = self.state[:shift] ^ mask(neuron, shift)
        product = multiply(kept, projection.stage.read_data.as_signed(), TERNARY)
        scaled, _ = saturate((product + random) >> shift, SCALED_MODULATION)
        return heard, scaled
