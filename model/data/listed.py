"""A set as a table names it: a CSV file whose rows give a file and its class."""

import csv
import io
from pathlib import Path, PurePosixPath

from model.contract.refusal import Refusal
from model.data.places import read

COLUMNS = ("file", "class")
PART = "part"  #: the column that may tell train from test
PARTS = ("train", "test")


def read_listed(path: Path) -> dict[PurePosixPath, bytes]:
    """The files that a table names, as if they lay in class folders, in the table's order.

    The table has a head with the columns `file` (a path from the table's own folder) and `class`,
    and may have `part` (train or test); others are left alone. Raises `Refusal` with the line where
    the table is not so, or its file cannot be read.
    """
    try:
        text = read(path).decode()
    except UnicodeDecodeError as error:
        raise Refusal(f"{path} is no text, at byte {error.start}; save it as UTF-8") from error
    table = csv.DictReader(io.StringIO(text), strict=True)
    files: dict[PurePosixPath, bytes] = {}
    try:
        missing = [name for name in COLUMNS if name not in (table.fieldnames or ())]
        if missing:
            raise Refusal(f"{path} has no column {missing[0]}; begin it with {','.join(COLUMNS)}")
        for number, row in enumerate(table):
            where = f"{path}, line {table.line_num}"
            file, parts = _entry(row, where, PART in (table.fieldnames or ()))
            if not (path.parent / file).is_file():
                raise Refusal(f"{where}: there is no file {file} beside the table; mend the path")
            named = PurePosixPath(*parts, f"{number:08}-{PurePosixPath(file).name}")
            files[named] = read(path.parent / file)
    except csv.Error as error:
        raise Refusal(f"{path}, after line {table.line_num}: {error}; mend the row") from error
    if not files:
        raise Refusal(f"{path} names no files; give a row a file")
    return files


def _entry(row: dict[str, str], where: str, parted: bool) -> tuple[str, list[str]]:
    """A row's file, and the folders that it counts as lying in."""
    file, label = row["file"], row["class"]
    if not file or not label or len(PurePosixPath(label).parts) != 1 or label in (".", ".."):
        raise Refusal(f"{where} lacks a file or a class of one word; fill in both")
    if not parted:
        return file, [label]
    if row[PART] not in PARTS:
        raise Refusal(f"{where}: part is {row[PART]!r}, not {' or '.join(PARTS)}")
    return file, [row[PART], label]
