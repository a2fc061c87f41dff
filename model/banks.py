"""Host banks as memory words: logical arrays to words of lanes and back.

The layouts are those of `model.contract.storage`. A word is shown as a row of lane codes.
"""

import numpy as np

from model.arith import Codes
from model.contract.refusal import Refusal
from model.contract.storage import Bank


def to_words(bank: Bank, array: Codes) -> Codes:
    """A bank's logical array as (words, lanes) codes; lanes beyond the array are zero.

    Raises `Refusal` where a code lies outside the bank's format: what a chip does with the one that
    a symmetric format leaves out is not defined.
    """
    code = bank.code
    outside = array[(array < code.low) | (array > code.high)]
    if outside.size:
        raise Refusal(
            f"{bank.name} holds {outside[0]}, which is outside {code.low} to {code.high}; "
            "saturate it"
        )
    if bank.kind == "kernels":
        return _kernel_words(bank, array)
    rows = array.reshape(-1, array.shape[-1])
    groups = bank.words // len(rows) if bank.kind != "modulation" else 1
    if bank.kind == "modulation":
        return array.reshape(bank.words, bank.lanes)
    padded = np.zeros((len(rows), groups * bank.lanes), dtype=np.int64)
    padded[:, : rows.shape[1]] = rows
    return padded.reshape(bank.words, bank.lanes)


def from_words(bank: Bank, words: Codes, shape: tuple[int, ...]) -> Codes:
    """The logical array of `shape` that `to_words` turned into `words`."""
    if bank.kind == "modulation":
        return words.reshape(shape)
    if bank.kind == "weights":
        return words.reshape(shape[0], -1)[:, : shape[1]].copy()
    kernels, channels, size, _ = shape
    lanes = bank.lanes // bank.taps
    codes = words.reshape(channels, -(-kernels // lanes), -1, lanes).swapaxes(2, 3)
    taps = codes.reshape(channels, -1, codes.shape[3])[:, :kernels, : size**2]
    return taps.swapaxes(0, 1).reshape(shape).copy()


def _kernel_words(bank: Bank, kernels: Codes) -> Codes:
    """(K, C, R, R) kernels as words: channel by channel, group by group, tap by tap."""
    count, channels, size, _ = kernels.shape
    lanes = bank.lanes // bank.taps
    groups, steps = -(-count // lanes), -(-(size**2) // bank.taps)
    padded = np.zeros((channels, groups * lanes, steps * bank.taps), dtype=np.int64)
    padded[:, :count, : size**2] = kernels.reshape(count, channels, -1).swapaxes(0, 1)
    words = padded.reshape(channels, groups, lanes, -1).swapaxes(2, 3)
    return words.reshape(bank.words, bank.lanes)


def to_chunks(bank: Bank, words: Codes) -> np.ndarray:
    """Words of lanes as (words, chunks) of 32-bit bus words, lowest bits first."""
    bits = (words[:, :, None] >> np.arange(bank.code.bits)) & 1
    flat = bits.reshape(bank.words, bank.word_bits).astype(np.uint8)
    padded = np.zeros((bank.words, bank.chunks * 32), dtype=np.uint8)
    padded[:, : bank.word_bits] = flat
    packed = np.packbits(padded, axis=1, bitorder="little")
    return packed.view("<u4").reshape(bank.words, bank.chunks)


def from_chunks(bank: Bank, chunks: np.ndarray) -> Codes:
    """The words of lanes that `to_chunks` turned into `chunks`."""
    octets = np.ascontiguousarray(chunks, dtype="<u4").view(np.uint8).reshape(bank.words, -1)
    bits = np.unpackbits(octets, axis=1, bitorder="little")[:, : bank.word_bits]
    weights = 1 << np.arange(bank.code.bits, dtype=np.int64)
    if bank.code.signed:
        weights[-1] *= -1
    return bits.reshape(bank.words, bank.lanes, bank.code.bits).astype(np.int64) @ weights
