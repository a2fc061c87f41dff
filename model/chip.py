"""The plain engine: one sample after another, one event after another, in numpy.

Slow and legible: the oracle of the fast engine and of the hardware.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from model import conv, hidden, learn, readout, synapses
from model.arith import Codes, Words
from model.contract.config import ChipConfig
from model.contract.result import VERDICT_BITS, Verdict, pack_verdict
from model.contract.stages import stage_names
from model.encode import Admitted, admit
from model.lfsr import Lfsr, neuron_masks
from model.state import State
from model.trace import Trace

Counts = dict[str, Counter[str]]


def no_counts(config: ChipConfig) -> Counts:
    """One empty tally a stage."""
    return {stage: Counter() for stage in stage_names(config)}


class PlainChip:
    """A chip in operation: takes samples as event words, changes its state as it learns.

    `freeze`, as the host's register: nothing is learned, whatever marks ask.
    """

    freeze = False

    def __init__(self, config: ChipConfig, state: State, trace: Trace | None = None) -> None:
        self.config = config
        self.state = state
        self.trace = trace
        self.counts = no_counts(config)
        bits = config.learning.lfsr_bits
        self._masks = {s.name: neuron_masks(s.outputs, bits) for s in config.layer_shapes}

    def take(self, words: Sequence[int] | Words) -> tuple[Codes, Verdict] | None:
        """One sample from its words to its scores and verdict; learns if its mark asks for it.

        An aborted sample gives neither, but leaves its records.
        """
        admitted = self._admit(words)
        sums, layer_items = self._forward(admitted)
        scores = readout.score(self.config.readout, sums[-1], self.counts["readout"])
        verdict = Verdict(readout.classify(sums[-1]), admitted.mark.learn, admitted.faulty)
        given = slice(0 if admitted.mark.abort else None)
        self._note("readout.scores", scores[given, None])
        row = np.array([[pack_verdict(verdict) & ((1 << VERDICT_BITS) - 1)]])
        self._note("readout.verdict", row[given])
        self._learn(admitted, sums, layer_items, scores)
        return None if admitted.mark.abort else (scores, verdict)

    def run(self, samples: Iterable[Sequence[int] | Words]) -> tuple[Codes, Codes]:
        """Many samples: classes (N,) and scores (N, classes) of those that were not aborted."""
        results = [result for words in samples if (result := self.take(words)) is not None]
        classes = np.array([verdict.label for _, verdict in results], dtype=np.int64)
        scores = np.array([scores for scores, _ in results], dtype=np.int64)
        return classes, scores.reshape(len(results), self.config.readout.classes)

    def _note(self, boundary: str, rows: Iterable[Iterable[int]] | Codes) -> None:
        if self.trace is not None:
            self.trace.add(boundary, rows)

    def _admit(self, words: Sequence[int] | Words) -> Admitted:
        admitted = admit(self.config, words, self.freeze)
        self.counts["encode"].update(
            events=len(admitted.events),
            dropped_events=admitted.dropped,
            samples=int(not admitted.mark.abort),
            refused_marks=int(admitted.refused),
        )
        self._note("encode.events", admitted.events)
        return admitted

    def _forward(self, admitted: Admitted) -> tuple[list[Codes], list[Codes]]:
        """Sums and items of every layer."""
        config = self.config
        events = admitted.events
        items = np.stack(
            [
                (events[:, 1] * config.width + events[:, 0]) * config.channels + events[:, 2],
                events[:, 3],
            ],
            axis=1,
        )
        windows = np.split(events, admitted.ends[:-1])
        for number, shape in enumerate(config.conv_shapes):
            name = shape.name
            kernels, counts = self.state.banks[f"{name}.kernels"], self.counts[name]
            maps = [
                conv.convolve(config.conv[number], shape, kernels, window, counts)
                for window in windows
            ]
            windows = [conv.feature_events(features) for features in maps]
            items = conv.feature_items(np.stack(maps))
            self._note(f"{name}.features", items)
        sums: list[Codes] = []
        layer_items: list[Codes] = []
        for number, layer in enumerate(config.layer_shapes):
            counts = self.counts[layer.name]
            weights = self.state.banks[f"{layer.name}.weights"]
            layer_items.append(items)
            sums.append(synapses.accumulate(layer, weights, items, counts))
            self._note(f"{layer.name}.sums", enumerate(sums[-1]))
            if number < len(config.hidden):
                activations = hidden.activate(
                    config.hidden[number], config.activation(number), sums[-1], counts
                )
                last = number == len(config.hidden) - 1
                items = hidden.items(activations, config.bias_code if last else None)
                counts["activations"] += len(items)
                self._note(f"{layer.name}.activations", items)
        return sums, layer_items

    def _learn(
        self, admitted: Admitted, sums: list[Codes], layer_items: list[Codes], scores: Codes
    ) -> None:
        learning, label = admitted.mark.learn, admitted.mark.label
        error = readout.error(scores, label) if learning else np.zeros_like(scores)
        for number, layer in enumerate(self.config.layer_shapes):
            if not layer.learns:
                continue
            name = layer.name
            if not learning:
                self._note(f"{name}.modulation", np.empty((0, 1), np.int64))
                self._note(f"{name}.updates", np.empty((0, 1 + layer.lanes), np.int64))
                continue
            lfsr = Lfsr(self.config.learning.lfsr_bits, self.state.lfsrs[name])
            if name == "readout":
                modulation = error
            else:
                modulation = hidden.modulate(
                    self.config,
                    self.config.hidden[number],
                    self.state.banks[f"{name}.modulation"],
                    label,
                    error,
                    sums[number],
                    lfsr.spread(self._masks[name]),
                )
                if self.config.learning.error_scaled:
                    lfsr.step()
            writes = learn.update(
                layer,
                self.state.banks[f"{name}.weights"],
                layer_items[number],
                modulation,
                admitted.mark.rate,
                lfsr,
                self._masks[name],
                self.counts[name],
            )
            self._note(f"{name}.modulation", modulation[:, None])
            rows = [[address, *word] for address, word in writes]
            self._note(f"{name}.updates", rows or np.empty((0, 1 + layer.lanes), np.int64))
            self.state.lfsrs[name] = lfsr.state
