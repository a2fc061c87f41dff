"""A chip as its host sees it, whatever carries the accesses: state in and out, seeds, counters."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from model.arith import Codes
from model.banks import from_chunks, from_words, to_chunks, to_words
from model.contract import registers
from model.contract.choices import RULES
from model.contract.config import ChipConfig
from model.contract.counters import counters
from model.contract.presets import PRESETS, preset
from model.contract.refusal import Refusal
from model.contract.registers import learning_layers
from model.contract.storage import host_banks
from model.state import State, bank_shapes

Read = Callable[[ArrayLike], NDArray[np.uint32]]
"""Reads registers (n,), one after the other."""
Write = Callable[[ArrayLike, ArrayLike], None]
"""Writes each value (n,) to its register (n,) or to one for all."""


class HostChip:
    """The register map of `model.contract.registers`, spoken through `read` and `write`.

    Raises `Refusal` where the chip says that it is another than `config`.
    """

    def __init__(self, config: ChipConfig, read: Read, write: Write) -> None:
        self.config = config
        self._read = read
        self._write = write
        self._check()

    def load(self, state: State) -> None:
        """Write banks and LFSRs."""
        for number, bank in enumerate(host_banks(self.config)):
            chunks = to_chunks(bank, to_words(bank, state.banks[bank.name]))
            self._open(number)
            self._write(registers.DATA, chunks.reshape(-1))
        seeds = [state.lfsrs[layer] for layer in learning_layers(self.config)]
        if seeds:
            self._write(self._seeds(), seeds)

    def state(self) -> State:
        """Read banks and LFSRs."""
        shapes = bank_shapes(self.config)
        banks: dict[str, Codes] = {}
        for number, bank in enumerate(host_banks(self.config)):
            self._open(number)
            chunks = self._read(np.full(bank.words * bank.chunks, registers.DATA))
            words = from_chunks(bank, chunks.reshape(bank.words, bank.chunks))
            banks[bank.name] = from_words(bank, words, shapes[bank.name])
        seeds = map(int, self._read(self._seeds()))
        return State(banks, dict(zip(learning_layers(self.config), seeds, strict=True)))

    def counters(self) -> dict[str, int]:
        """All counters by name; none if the chip has none."""
        names = [counter.name for counter in counters(self.config) if self.config.counters]
        halves = self._read(registers.COUNTERS + 4 * np.arange(2 * len(names)))
        values = halves.astype(np.int64).reshape(-1, 2) @ [1, 1 << 32]
        return dict(zip(names, map(int, values), strict=True))

    def clear(self) -> None:
        """Clear the counters and all flags."""
        clearing = dict.fromkeys(("clear_counters", "clear_flags", "clear_verdict"), 1)
        self._write(registers.CONTROL, registers.join(registers.CONTROL, clearing))

    def answer(self, address: int, value: int | None = None) -> int | None:
        """What a register reads as, or 0 to a write of a value; None where the chip refuses."""
        try:
            if value is None:
                return int(self._read(np.array([address]))[0])
            self._write(np.array([address]), np.array([value]))
        except Refusal:
            return None
        return 0

    def _check(self) -> None:
        """Refuse what is no chip of ours, of another version of the map or of the words, or other
        than its configuration says."""
        identity, version, choices = map(
            int, self._read([registers.ID, registers.VERSION, registers.CONFIG])
        )
        if identity != registers.IDENTITY:
            raise Refusal(
                f"what answers says it is {identity:08x}, no chip of ours; check the line"
            )
        versions = registers.split(registers.VERSION, version)
        if versions != registers.VERSIONS:
            chip, host = (
                f"map {found['map']}, words {found['words']}"
                for found in (versions, registers.VERSIONS)
            )
            raise Refusal(f"the chip speaks {chip}, this host {host}; take the host of its version")
        if choices != int(self.config.sha256[:8], 16):
            raise Refusal(
                f"the chip says it is {choices:08x}, {known(choices)}, which is not "
                f"{self.config.name} ({self.config.sha256[:8]}); choose its own configuration"
            )

    def _open(self, bank: int) -> None:
        """Turn the window of `DATA` to the first word of a bank."""
        self._write([registers.BANK, registers.ADDRESS], [bank, 0])

    def _seeds(self) -> NDArray[np.int64]:
        """Addresses of the seed registers."""
        return registers.SEEDS + 4 * np.arange(len(learning_layers(self.config)))


def known(choices: int) -> str:
    """Name and rule of the preset whose hash starts with 32 bits."""
    for name in PRESETS:
        for rule in RULES:
            if int(preset(name, rule).sha256[:8], 16) == choices:
                return f"{name} with rule {rule}"
    return "no preset"
