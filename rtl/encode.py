"""The guard at the chip's door: words to well-formed events. Twin: `model/encode.py`."""

from amaranth.hdl import Cat, Const, Elaboratable, Module, Mux, Signal, Value, ValueLike
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from model.contract import event
from model.contract.choices import Coding, Rule
from model.contract.config import ChipConfig
from model.contract.stages import boundary
from rtl.beat import map_beat
from rtl.counters import steps_layout


class Encode(wiring.Component):
    """Drops malformed events, refuses to learn from unknown marks, turns time into value.

    Members: `words` (the host's), `events`; `drop` (a pulse: an abort mark goes in before the next
    word), `freeze` (nothing is to be learned); `dropped`, `refused` (pulses); `busy` (a sample is
    open); `count`; `monitor_events`.
    Timing: latency 1 cycle, one word a cycle; a dropped word takes one cycle too, and so does the
    mark of a drop. Reset: no sample open.
    """

    def __init__(self, config: ChipConfig) -> None:
        self.config = config
        self.boundary = boundary(config, "encode.events")
        beat = map_beat(config, config.height, config.width, config.channels, config.event_value)
        super().__init__(
            {
                "words": In(stream.Signature(event.WORD_BITS)),
                "events": Out(stream.Signature(beat)),
                "drop": In(1),
                "freeze": In(1),
                "dropped": Out(1),
                "refused": Out(1),
                "busy": Out(1),
                "count": Out(steps_layout(config, "encode")),
                "monitor_events": Out(self.boundary.port_bits),
            }
        )

    def elaborate(self, platform: object) -> Elaboratable:
        """Build the checks and the output register."""
        config = self.config
        m = Module()
        out = self.events
        dropping = Signal()  # the abort mark of a drop goes in
        word = Signal(event.WORD_BITS)
        offered = Signal()
        is_mark = word[event.MARK_AT] & ~word[event.WINDOW_AT]
        x = word[event.X_AT :][: event.X_BITS]
        y = word[event.Y_AT :][: event.Y_BITS]
        channel = word[event.CHANNEL_AT :][: event.CHANNEL_BITS]
        time = word[event.TIME_AT :][: event.TIME_BITS]
        label = word[event.LABEL_AT :][: event.LABEL_BITS]
        rate = word[event.RATE_AT :][: event.RATE_BITS]
        abort = word[event.ABORT_AT]

        latest = Signal(event.TIME_BITS)
        faulty = Signal()
        open_sample = Signal()
        taken = Signal()
        room = self._room(m, taken & is_mark)
        window = self._window(m, word, taken)
        well_formed = Signal()
        m.d.comb += well_formed.eq(
            ~word[event.MARK_AT]
            & (x < config.width)
            & (y < config.height)
            & (channel < config.channels)
            & (time >= latest)
            & (time < config.time_top if config.coding is Coding.FIRST_SPIKE else 1)
            & room
        )
        learns = config.learning.rule is not Rule.NONE
        asked = word[event.LEARN_AT] & ~abort & ~self.freeze & learns
        known = (label < config.readout.classes) & (rate < config.rate_steps)
        free = Signal()
        m.d.comb += [
            word.eq(Mux(dropping, event.pack_mark(event.ABORT), self.words.payload)),
            offered.eq(self.words.valid | dropping),
            free.eq(~out.valid | out.ready),
            self.words.ready.eq(free & ~dropping),
            taken.eq(offered & free),
            self.dropped.eq(taken & ~is_mark & ~well_formed & ~window),
            self.refused.eq(taken & is_mark & asked & ~known),
            self.busy.eq(open_sample | out.valid | dropping),
            self.count.events.eq(taken & ~is_mark & well_formed),
            self.count.dropped_events.eq(self.dropped),
            self.count.samples.eq(taken & is_mark & ~abort),
            self.count.refused_marks.eq(self.refused),
        ]
        item, mark = out.payload.body.item, out.payload.body.mark
        with m.If(self.drop):
            m.d.sync += dropping.eq(1)
        with m.Elif(free):
            m.d.sync += dropping.eq(0)
        with m.If(free):
            m.d.sync += out.valid.eq(offered & (is_mark | window | well_formed))
        with m.If(taken):
            m.d.sync += [out.payload.end.eq(is_mark | window), open_sample.eq(~is_mark)]
            with m.If(is_mark):
                m.d.sync += [
                    mark.label.eq(label),
                    mark.learn.eq(asked & known),
                    mark.rate.eq(rate),
                    mark.faulty.eq(faulty | self.refused),
                    mark.abort.eq(abort),
                    *([mark.window.eq(0)] if config.windows > 1 else []),
                    faulty.eq(0),
                    latest.eq(0),
                ]
            with m.Elif(well_formed):
                m.d.sync += [
                    item.x.eq(x),
                    item.y.eq(y),
                    item.channel.eq(channel),
                    item.index.eq((y * config.width + x) * config.channels + channel),
                    item.value.eq(1 if config.coding is Coding.COUNT else config.time_top - time),
                    latest.eq(time),
                ]
            with m.Elif(window):
                m.d.sync += latest.eq(0)
                if config.windows > 1:
                    m.d.sync += [mark.as_value().eq(0), mark.window.eq(1)]
            with m.Else():
                m.d.sync += faulty.eq(1)
        fields = self.boundary.fields
        parts = (item.x, item.y, item.channel, item.value)
        sized = [
            part[: field.code.bits]
            if len(part) >= field.code.bits
            else Cat(part, Signal(field.code.bits - len(part)))
            for part, field in zip(parts, fields, strict=True)
        ]
        ends_window = out.payload.end & mark.window if config.windows > 1 else Const(0, 1)
        shown = out.valid & out.ready & ~ends_window  # a window's end is no row
        m.d.comb += self.monitor_events.eq(Cat(shown, out.payload.end, *sized))
        return m

    def _window(self, m: Module, word: Value, taken: Value) -> Value:
        """Whether a word ends a window that the sample outlives; one is left for its mark."""
        last = self.config.windows - 1
        ended, fits = Signal(range(last + 1)), Signal()
        is_window = word[event.MARK_AT] & word[event.WINDOW_AT]
        m.d.comb += fits.eq(is_window & (ended != last))
        with m.If(taken & fits):
            m.d.sync += ended.eq(ended + 1)
        with m.Elif(taken & word[event.MARK_AT] & ~is_window):
            m.d.sync += ended.eq(0)
        return fits

    def _room(self, m: Module, ended: Value) -> ValueLike:
        """Whether the sample may have one more event: only a queue that events fill has a limit."""
        limit = self.config.event_limit
        if limit is None:
            return 1
        events = Signal(range(limit + 1))
        with m.If(ended):
            m.d.sync += events.eq(0)
        with m.Elif(self.count.events):
            m.d.sync += events.eq(events + 1)
        return events < limit
