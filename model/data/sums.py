"""Sums: whether a file holds what its publisher put into it."""

import hashlib

from model.contract.refusal import Refusal


def check_sum(content: bytes, expected: str, source: object) -> None:
    """Refuse content whose sum differs from `expected`, written "sha256:..." or "md5:...".

    Sums of sets are taken over the unpacked content, so one sum holds for a file packed or not.
    """
    algorithm, digest = expected.split(":")
    found = hashlib.new(algorithm, content, usedforsecurity=False).hexdigest()
    if found != digest:
        raise Refusal(
            f"{source} is not the published file: its content has {algorithm} {found}, expected "
            f"{digest}; download it again"
        )
