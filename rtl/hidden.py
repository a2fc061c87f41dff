"""A hidden layer: synapses, activation, modulation. Twin: `model/hidden.py`."""

from amaranth.hdl import Cat, Elaboratable, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Member, Out

from model.contract.choices import Activation
from model.contract.config import ChipConfig
from model.contract.stages import boundary
from rtl.arith import saturate
from rtl.beat import ERROR_BEAT, item_beat
from rtl.counters import steps_layout
from rtl.modulate import ModulateByError, ModulateByLabel
from rtl.ports import BankPort, SeedPort
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
            kind = ModulateByError if config.needs_error else ModulateByLabel
            self.modulate = kind(config, number)
            words, bits = self.modulate.bank.words, self.modulate.bank.word_bits
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
        busy = synapses.busy | full
        if shape.learns:
            m.submodules.modulate = modulate = self.modulate
            wiring.connect(m, wiring.flipped(self.seed), synapses.seed)
            wiring.connect(m, wiring.flipped(self.projection), modulate.projection)
            m.d.comb += [
                self.monitor_modulation.eq(synapses.monitor_modulation),
                self.monitor_updates.eq(synapses.monitor_updates),
                modulate.accept.eq(accept),
                modulate.coming.eq(sums.payload),
                modulate.leaving.eq(leaving),
                modulate.neuron.eq(neuron),
                synapses.modulation.valid.eq(modulate.modulation.valid),
                synapses.modulation.payload.eq(modulate.modulation.payload),
            ]
            busy = busy | modulate.busy
            if self.config.needs_error:
                m.d.comb += [
                    modulate.errors.valid.eq(self.errors.valid),
                    modulate.errors.payload.eq(self.errors.payload),
                    modulate.state.eq(synapses.state),
                    synapses.step.eq(modulate.step),
                ]
        m.d.comb += self.busy.eq(busy)
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
