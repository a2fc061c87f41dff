"""A hidden layer: synapses, activation, modulation. Twin: `model/hidden.py`."""

from amaranth.hdl import Cat, Const, Elaboratable, Module, Mux, Signal, Value
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Member, Out

from model.contract.choices import Activation, Gate
from model.contract.config import ChipConfig
from model.contract.shapes import ERROR, SCALED_MODULATION, TERNARY
from model.contract.stages import boundary
from model.contract.storage import bank, index_bits
from rtl.arith import lanes, multiply, saturate
from rtl.beat import ERROR_BEAT, item_beat, mark_layout
from rtl.counters import steps_layout
from rtl.lfsr import mask
from rtl.ports import BankPort, SeedPort
from rtl.storage import Bank
from rtl.synapses import Synapses


class Hidden(wiring.Component):
    """A hidden layer: sums become activations on the way forward and modulation for learning.

    A neuron's sum waits one cycle while its entry of B is read. Non-zero activations are sent on;
    after the last hidden layer's follows the bias item. Under drtp the modulation leaves with the
    activation: nothing waits for the layers after. Rules that need the error keep two gate flags a
    neuron, wait for the readout's errors, and go over the neurons once more.

    Members: `items`, `activations`, `weights` and `projection` (the host's bank ports), `seed`,
    `errors` (always ready; only for rules that need it), `busy`, `count`, `monitor_*`.
    Timing: that of `Synapses`; an activation shows one cycle after its sum, one neuron a cycle. A
    second walk for the error takes one cycle a neuron and one more. Stalls while an activation
    waits for the next stage.
    """

    def __init__(self, config: ChipConfig, number: int) -> None:
        self.config = config
        self.layer = config.hidden[number]
        self.shape = shape = config.layer_shapes[number]
        self.following = following = config.layer_shapes[number + 1]
        self.format = config.activation(number)
        self.has_bias = number == len(config.hidden) - 1
        self.synapses = Synapses(config, shape)
        self.boundary = boundary(config, f"{shape.name}.activations")

        def monitor(record: str) -> Member:
            return Out(boundary(config, f"{shape.name}.{record}").port_bits)

        members = {
            "items": In(stream.Signature(item_beat(config, shape.inputs, shape.value))),
            "activations": Out(
                stream.Signature(item_beat(config, following.inputs, following.value))
            ),
            "weights": In(BankPort(self.synapses.bank.word_bits, self.synapses.bank.words)),
            "busy": Out(1),
            "count": Out(steps_layout(config, shape.name)),
            "monitor_sums": monitor("sums"),
            "monitor_activations": monitor("activations"),
        }
        if shape.learns:
            self.projection_bank = bank(config, f"{shape.name}.modulation")
            words, bits = self.projection_bank.words, self.projection_bank.word_bits
            members |= {
                "projection": In(BankPort(bits, words)),
                "seed": In(SeedPort(config.learning.lfsr_bits)),
                "monitor_modulation": monitor("modulation"),
                "monitor_updates": monitor("updates"),
            }
        if shape.learns and config.needs_error:
            members["errors"] = In(stream.Signature(ERROR_BEAT, always_ready=True))
        super().__init__(members)

    def elaborate(self, platform: object) -> Elaboratable:
        """Build the neuron register between the synapses and the next layer."""
        m = Module()
        shape, count = self.shape, self.count
        m.submodules.synapses = synapses = self.synapses
        wiring.connect(m, wiring.flipped(self.items), synapses.items)
        wiring.connect(m, wiring.flipped(self.weights), synapses.weights)
        sums, out = synapses.sums, self.activations

        # The neuron register: the beat of the cycle before, its entry of B being read.
        full = Signal()
        neuron = Signal(sums.payload.shape())
        leaving = Signal()
        accept = Signal()
        m.d.comb += [
            sums.ready.eq(~full | leaving),
            accept.eq(sums.valid & sums.ready),
        ]
        with m.If(sums.ready):
            m.d.sync += full.eq(sums.valid)
        with m.If(accept):
            m.d.sync += neuron.eq(sums.payload)
        clipped = self._forward(m, full, neuron, leaving)

        m.d.comb += [count.eq(synapses.count)]
        m.d.comb += [
            count.activations.eq(out.valid & out.ready & ~out.payload.end),
            count.activation_saturations.eq(clipped & leaving & ~neuron.end),
            self.monitor_sums.eq(synapses.monitor_sums),
            self.monitor_activations.eq(
                Cat(
                    out.valid & out.ready,
                    out.payload.end,
                    out.payload.body.item.index,
                    out.payload.body.item.value[: self.boundary.fields[1].code.bits],
                )
            ),
        ]
        learning: Value = Signal()
        if shape.learns:
            wiring.connect(m, wiring.flipped(self.seed), synapses.seed)
            m.d.comb += [
                self.monitor_modulation.eq(synapses.monitor_modulation),
                self.monitor_updates.eq(synapses.monitor_updates),
            ]
            m.submodules.projection = projection = Bank(
                self.projection_bank.word_bits, self.projection_bank.words
            )
            wiring.connect(m, wiring.flipped(self.projection), projection.host)
            if self.config.needs_error:
                learning = self._modulate_by_error(m, projection, full, neuron, leaving)
            else:
                self._modulate(m, projection, accept, neuron, leaving)
        m.d.comb += self.busy.eq(synapses.busy | full | learning)
        return m

    def _forward(self, m: Module, full: Value, neuron: Signal, leaving: Signal) -> Value:
        """Send the register's activation, the bias after the last one, then the mark.

        Returns whether the activation is clipped.
        """
        out = self.activations
        item = out.payload.body.item
        clipped: Value = Signal()
        if self.layer.activation is Activation.SIGN:
            activation = Mux(neuron.sum < 0, -1, 1)
        else:
            shifted = neuron.sum >> self.layer.shift
            activation, clipped = saturate(shifted, self.format)
        bias_due = Signal(init=self.has_bias)
        with m.If(full & ~neuron.end):
            m.d.comb += [
                item.index.eq(neuron.neuron),
                item.value.eq(activation),
                out.valid.eq(activation != 0),
                leaving.eq((activation == 0) | out.ready),
            ]
        with m.Elif(full & bias_due):
            m.d.comb += [
                item.index.eq(self.shape.outputs),
                item.value.eq(self.config.bias_code),
                out.valid.eq(1),
            ]
            with m.If(out.ready):
                m.d.sync += bias_due.eq(0)
        with m.Elif(full):
            m.d.comb += [
                out.payload.end.eq(1),
                out.payload.body.mark.eq(neuron.mark),
                out.valid.eq(1),
                leaving.eq(out.ready),
            ]
            with m.If(out.ready):
                m.d.sync += bias_due.eq(self.has_bias)
        return clipped

    def _flags(self, total: Value) -> tuple[Value, Value]:
        """Whether a sum is saturated above, below."""
        return total >= self.layer.threshold, total <= -self.layer.threshold

    def _gated(self, code: Value, high: Value, low: Value) -> Value:
        """The modulation, or zero where the gate is closed."""
        if self.config.learning.gate is Gate.BOX:
            closed = high | low
        else:
            closed = ((code > 0) & high) | ((code < 0) & low)
        return Mux(closed, 0, code)

    def _modulate(
        self, m: Module, projection: Bank, accept: Value, neuron: Signal, leaving: Value
    ) -> None:
        """drtp: the row of B that the label selects, read as the sum comes in."""
        sums, modulation = self.synapses.sums.payload, self.synapses.modulation
        code = projection.stage.read_data.as_signed()
        m.d.comb += [
            projection.stage.enable.eq(accept),
            projection.stage.address.eq(sums.mark.label * self.shape.outputs + sums.neuron),
            modulation.valid.eq(leaving & ~neuron.end & neuron.mark.learn),
            modulation.payload.code.eq(self._gated(code, *self._flags(neuron.sum))),
        ]

    def _modulate_by_error(
        self, m: Module, projection: Bank, full: Value, neuron: Signal, leaving: Value
    ) -> Value:
        """Rules that need the error: keep the gate flags, wait, go over the neurons again.

        Returns whether a sample is still to be modulated.
        """
        shape, modulation = self.shape, self.synapses.modulation
        m.submodules.gates = gates = memory.Memory(shape=2, depth=shape.outputs, init=[])
        read, write = gates.read_port(), gates.write_port()
        mark = Signal(mark_layout(self.config))
        m.d.comb += [
            write.addr.eq(neuron.neuron),
            write.data.eq(Cat(*self._flags(neuron.sum))),
            write.en.eq(full & ~neuron.end),
        ]
        place, before = Signal(index_bits(shape.outputs)), Signal(index_bits(shape.outputs))
        reading, pending = Signal(), Signal()
        scaled = self.config.learning.error_scaled
        if scaled:
            heard, code = self._scale(m, projection, mark, before)
            address = mark.label * shape.outputs + place
        else:
            heard, code = self._project(m, projection)
            address = place
        m.d.comb += [
            read.addr.eq(place),
            read.en.eq(reading),
            projection.stage.enable.eq(reading),
            projection.stage.address.eq(address),
            modulation.valid.eq(pending),
            modulation.payload.code.eq(self._gated(code, read.data[0], read.data[1])),
        ]
        m.d.sync += [pending.eq(reading), before.eq(place)]
        with m.FSM() as fsm:
            with m.State("IDLE"):
                with m.If(full & leaving & neuron.end & neuron.mark.learn):
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
                m.d.comb += self.synapses.step.eq(scaled)
                m.next = "IDLE"
        return ~fsm.ongoing("IDLE")

    def _hear(self, m: Module) -> tuple[Value, Signal]:
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

    def _project(self, m: Module, projection: Bank) -> tuple[Value, Value]:
        """sdfa and dfa: the sum of B's codes of a neuron, each times the ternary error."""
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
    ) -> tuple[Value, Value]:
        """drtp scaled: B's code times the label's own error, rounded stochastically, saturated."""
        heard, number = self._hear(m)
        kept = Signal(ERROR.span)
        with m.If(self.errors.valid & (number == mark.label)):
            m.d.sync += kept.eq(self.errors.payload.code)
        shift = self.config.learning.error_shift
        random = self.synapses.state[:shift] ^ mask(neuron, shift)
        product = multiply(kept, projection.stage.read_data.as_signed(), TERNARY)
        scaled, _ = saturate((product + random) >> shift, SCALED_MODULATION)
        return heard, scaled
