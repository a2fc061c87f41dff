"""An AEDAT 4 file made by hand, as small as can be: an oracle for the reader, a seed for damage.

Source: iniVation, AEDAT 4.0 file format; FlatBuffers, binary format (the buffers are laid out here
byte by byte: root offset, identifier, table of fields, the one field that is set).
"""

import struct
from collections.abc import Sequence

MAGIC = b"#!AER-DAT4.0\r\n"
STREAMS = (
    '<dv version="2.0"><node name="outInfo" path="/outInfo/"><node name="0" path="/outInfo/0/">'
    '<attr key="compression" type="string">NONE</attr>'
    '<attr key="typeIdentifier" type="string">EVTS</attr>'
    '<node name="info" path="/outInfo/0/info/"><attr key="sizeX" type="int">{width}</attr>'
    '<attr key="sizeY" type="int">{height}</attr></node></node></node></dv>'
)


def recording(
    events: Sequence[tuple[int, int, int, int]], width: int = 34, height: int = 34
) -> bytes:
    """The bytes of a file with one packet of (x, y, t, p) events, unpacked."""
    text = STREAMS.format(width=width, height=height).encode()
    # Of three fields (compression, place of the table of packets, streams) the last alone is set.
    header = _buffer(b"IOHE", fields=3, content=struct.pack("<I", len(text)) + text + b"\0")
    rows = b"".join(struct.pack("<qhhB3x", t, x, y, p) for x, y, t, p in events)
    packet = _buffer(b"EVTS", fields=1, content=struct.pack("<I", len(events)) + rows)
    return MAGIC + header + struct.pack("<II", 0, len(packet)) + packet


def _buffer(identifier: bytes, fields: int, content: bytes) -> bytes:
    """A buffer with its size before it, whose root table has its last field alone."""
    fields_table = struct.pack(f"<{2 + fields}H", 4 + 2 * fields, 8, *[0] * (fields - 1), 4)
    fields_table += bytes(-len(fields_table) % 4)
    at = 8 + len(fields_table)  # of the root table: it follows the table of its fields
    body = struct.pack("<I", at) + identifier + fields_table
    body += struct.pack("<iI", len(fields_table), 4) + content
    return struct.pack("<I", len(body)) + body
