"""A chip's memories as files for `$readmemh`: one a host bank, one word a line."""

from model.banks import to_words
from model.contract.config import ChipConfig
from model.contract.storage import Bank, host_banks
from model.state import State


def files(config: ChipConfig, state: State) -> dict[str, str]:
    """File name -> text: `<chip>.<bank>.hex`, words in order of address, lane 0 lowest."""
    return {
        f"{config.name}.{bank.name}.hex": _words(config, bank, state) for bank in host_banks(config)
    }


def _words(config: ChipConfig, bank: Bank, state: State) -> str:
    digits = -(-bank.word_bits // 4)
    mask = (1 << bank.code.bits) - 1
    lines = [f"// {config.name} {bank.name}: {bank.words} words of {bank.lanes} codes"]
    for word in to_words(bank, state.banks[bank.name]).tolist():
        packed = sum((code & mask) << lane * bank.code.bits for lane, code in enumerate(word))
        lines.append(f"{packed:0{digits}x}")
    return "\n".join(lines) + "\n"
