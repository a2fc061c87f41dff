"""The output layer: synapses, scores, class, error. Twin: `model/readout.py`."""

from amaranth.hdl import Cat, Elaboratable, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Member, Out

from model.contract import result
from model.contract.config import ChipConfig
from model.contract.formats import Format
from model.contract.result import VERDICT_BITS
from model.contract.shapes import SCORE
from model.contract.stages import boundary
from model.contract.storage import index_bits
from rtl.arith import saturate
from rtl.beat import ERROR_BEAT, item_beat
from rtl.counters import steps_layout
from rtl.ports import BankPort, SeedPort
from rtl.synapses import Synapses


class Readout(wiring.Component):
    """The output layer: sums become scores, the greatest sum the class, scores the error.

    Members: `items`, `results` (words of `model.contract.result`), `weights` (the host's bank
    port), `seed`, `errors` (to the hidden layers, for rules that need it), `busy`, `count`,
    `monitor_*`.
    Timing: that of `Synapses`; a score shows in the cycle of its sum, the verdict in that of the
    mark. Stalls while the host does not take a word. An aborted sample gives no results.
    """

    def __init__(self, config: ChipConfig) -> None:
        self.config = config
        self.shape = shape = config.layer_shapes[-1]
        self.synapses = Synapses(config, shape)
        self.sends_errors = shape.learns and config.needs_error

        def monitor(record: str) -> Member:
            return Out(boundary(config, f"readout.{record}").port_bits)

        members = {
            "items": In(stream.Signature(item_beat(config, shape.inputs, shape.value))),
            "results": Out(stream.Signature(32)),
            "weights": In(BankPort(self.synapses.bank.word_bits, self.synapses.bank.words)),
            "busy": Out(1),
            "count": Out(steps_layout(config, shape.name)),
            "monitor_sums": monitor("sums"),
            "monitor_scores": monitor("scores"),
            "monitor_verdict": monitor("verdict"),
        }
        if shape.learns:
            members |= {
                "seed": In(SeedPort(config.learning.lfsr_bits)),
                "monitor_modulation": monitor("modulation"),
                "monitor_updates": monitor("updates"),
            }
        if self.sends_errors:
            members["errors"] = Out(stream.Signature(ERROR_BEAT, always_ready=True))
        super().__init__(members)

    def elaborate(self, platform: object) -> Elaboratable:
        """Build the activation and the running maximum."""
        m = Module()
        count, results = self.count, self.results
        m.submodules.synapses = synapses = self.synapses
        wiring.connect(m, wiring.flipped(self.items), synapses.items)
        wiring.connect(m, wiring.flipped(self.weights), synapses.weights)
        sums, beat = synapses.sums, synapses.sums.payload

        signed_score = Format(SCORE.bits, signed=True)
        centred, clipped = saturate(beat.sum >> self.config.readout.shift, signed_score)
        score = Signal(SCORE.span)
        best, best_class = Signal(self.shape.sum.span), Signal(index_bits(self.shape.outputs))
        verdict = Signal(VERDICT_BITS)
        taken = Signal()
        concluded = Signal()
        ended = Signal()  # the cycle after a sample's end, which closes the verdict's record
        m.d.comb += [
            score.eq(centred - signed_score.low),
            verdict.eq(
                best_class
                | beat.mark.learn << result.LEARNED_AT
                | beat.mark.faulty << result.FAULTY_AT
            ),
            results.valid.eq(sums.valid & ~beat.mark.abort),
            sums.ready.eq(results.ready | beat.mark.abort),
            results.payload.eq(Mux(beat.end, verdict | 1 << result.VERDICT_AT, score)),
            taken.eq(sums.valid & sums.ready),
            concluded.eq(taken & beat.end & ~beat.mark.abort),
            count.eq(synapses.count),
            count.score_saturations.eq(taken & ~beat.end & clipped),
            self.busy.eq(synapses.busy),
            self.monitor_sums.eq(synapses.monitor_sums),
            self.monitor_scores.eq(Cat(taken & (beat.end | ~beat.mark.abort), beat.end, score)),
            self.monitor_verdict.eq(Cat(concluded | ended, ended, verdict)),
        ]
        m.d.sync += ended.eq(taken & beat.end)
        with m.If(taken & ~beat.end & ((beat.neuron == 0) | (beat.sum > best))):
            m.d.sync += [best.eq(beat.sum), best_class.eq(beat.neuron)]
        if self.shape.learns:
            self._learn(m, score, taken)
        return m

    def _learn(self, m: Module, score: Signal, taken: Signal) -> None:
        """The error of every class, to the readout's own synapses and to hidden layers."""
        synapses = self.synapses
        beat = synapses.sums.payload
        modulation = synapses.modulation
        target = Mux(beat.neuron == beat.mark.label, SCORE.high, 0)
        wiring.connect(m, wiring.flipped(self.seed), synapses.seed)
        m.d.comb += [
            modulation.valid.eq(taken & ~beat.end & beat.mark.learn),
            modulation.payload.code.eq(target - score),
            self.monitor_modulation.eq(synapses.monitor_modulation),
            self.monitor_updates.eq(synapses.monitor_updates),
        ]
        if self.sends_errors:
            m.d.comb += [
                self.errors.valid.eq(modulation.valid),
                self.errors.payload.code.eq(modulation.payload.code),
            ]
