"""The tar file, packed or not."""

import lzma
import tarfile
import zlib
from pathlib import Path, PurePosixPath

from model.contract.refusal import Refusal


def read_archive(path: Path) -> dict[PurePosixPath, bytes]:
    """Return the content of every file in a tar file (plain, .gz, .bz2 or .xz) by its path.

    Nothing is unpacked to disk. Links are followed inside the archive.

    Raises `Refusal` where the archive is damaged, or ends before its own end mark: `tarfile` alone
    takes an archive cut between two files, or one with a damaged header, for a whole one.
    """
    files = {}
    try:
        with tarfile.open(path) as tar:
            for member in tar:
                content = tar.extractfile(member)
                if content is not None:
                    files[PurePosixPath(member.name)] = content.read()
            assert tar.fileobj is not None  # an open archive has its file
            tar.fileobj.seek(tar.offset)
            end = tar.fileobj.read(-1)
    except (OSError, EOFError, KeyError, tarfile.TarError, zlib.error, lzma.LZMAError) as error:
        raise Refusal(f"{path} is truncated or corrupt; pack or download it again") from error
    if not end or any(end):  # the end mark is zeros
        raise Refusal(f"{path} is truncated or corrupt; pack or download it again")
    return files
