"""PNG files with 16 bits, byte by byte: Pillow writes only gray ones, and no sBIT."""

import struct
import zlib

import numpy as np


def png16(path, values, *chunks):
    """H×W (gray) or H×W×2 to 4 (gray with alpha, RGB, RGBA) values; ``chunks`` are (name, data) before the pixels."""
    values = np.asarray(values)
    channels = 1 if values.ndim == 2 else values.shape[2]
    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    head = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    parts = [(b"IHDR", head), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    content = b"".join(chunk(name, data) for name, data in parts)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    return path


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
