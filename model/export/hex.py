"""A chip's memories as files for `$readmemh`: one a host bank, one word a line."""

from model.banks import to_words
from model.contract.config import ChipConfig
from model.contract.storage import Bank, host_banks
from model.state import State


def files(config: ChipConfig, state: State) -> dict[str, str]:
    """File name -> text: `<chip>.<bank>.hex`, words in order of address, lane 0 lowest."""
    words = contents(config, state)
    return {
        f"{config.name}.{bank.name}.hex": _text(config, bank, words[bank.name])
        for bank in host_banks(config)
    }


def contents(config: ChipConfig, state: State) -> dict[str, list[int]]:
    """The words of every host bank by its name, lane 0 lowest."""
    return {bank.name: _words(bank, state) for bank in host_banks(config)}


def _words(bank: Bank, state: State) -> list[int]:
    bits, mask = bank.code.bits, (1 << bank.code.bits) - 1
    return [
        sum((code & mask) << lane * bits for lane, code in enumerate(word))
        for word in to_words(bank, state.banks[bank.name]).tolist()
    ]


def _text(config: ChipConfig, bank: Bank, words: list[int]) -> str:
    digits = -(-bank.word_bits // 4)
    head = f"// {config.name} {bank.name}: {bank.words} words of {bank.lanes} codes"
    return "\n".join((head, *(f"{word:0{digits}x}" for word in words))) + "\n"
