"""Beats of the streams inside the chip: an item, or the mark that ends a sample.

Every stream between stages carries the items of a sample, then one beat with `end` set whose body
is the mark: label, learn, rate step, faulty and abort travel with the data, so that stages
overlap freely and nothing depends on timing.
"""

from amaranth.hdl import Module
from amaranth.lib import data, stream

from model.contract.config import ChipConfig
from model.contract.formats import Format
from model.contract.shapes import ERROR
from model.contract.storage import index_bits

#: Errors of the readout on their way to the hidden layers: one a class of a learned sample.
ERROR_BEAT = data.StructLayout({"code": ERROR.span})


def mark_layout(config: ChipConfig) -> data.StructLayout:
    """The mark of a sample inside the chip; `window` where one ends that the sample outlives."""
    fields = {
        "label": index_bits(config.readout.classes),
        "learn": 1,
        "rate": index_bits(config.rate_steps),
        "faulty": 1,
        "abort": 1,
    }
    return data.StructLayout(fields | ({"window": 1} if config.windows > 1 else {}))


def _beat(config: ChipConfig, item: dict[str, int | range]) -> data.StructLayout:
    body = data.UnionLayout({"item": data.StructLayout(item), "mark": mark_layout(config)})
    return data.StructLayout({"end": 1, "body": body})


def item_beat(config: ChipConfig, size: int, value: Format) -> data.StructLayout:
    """Items of a fully-connected layer: flat index below `size`, value."""
    return _beat(config, {"index": index_bits(size), "value": value.span})


def map_beat(
    config: ChipConfig, height: int, width: int, channels: int, value: Format, windows: int = 1
) -> data.StructLayout:
    """Items of an (H, W, C) map: coordinates, the same as a flat index of all windows, value."""
    return _beat(
        config,
        {
            "x": index_bits(width),
            "y": index_bits(height),
            "channel": index_bits(channels),
            "index": index_bits(windows * height * width * channels),
            "value": value.span,
        },
    )


def sum_beat(config: ChipConfig, neurons: int, total: Format) -> data.StructLayout:
    """Pre-activations of a layer; the mark shows in every beat, since a neuron needs its label."""
    return data.StructLayout(
        {
            "end": 1,
            "neuron": index_bits(neurons),
            "sum": total.span,
            "mark": mark_layout(config),
        }
    )


def connect_items(m: Module, source: stream.Interface, sink: stream.Interface) -> None:
    """Feed a layer's items from a map's or another layer's: index and value, or the mark."""
    m.d.comb += [
        sink.valid.eq(source.valid),
        source.ready.eq(sink.ready),
        sink.payload.end.eq(source.payload.end),
    ]
    with m.If(source.payload.end):
        m.d.comb += sink.payload.body.mark.eq(source.payload.body.mark)
    with m.Else():
        m.d.comb += [
            sink.payload.body.item.index.eq(source.payload.body.item.index),
            sink.payload.body.item.value.eq(source.payload.body.item.value),
        ]
