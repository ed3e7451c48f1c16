"""The file of a mask cache: one page of header, a table with one row per slot, then the packed masks.

| bytes | what |
|---|---|
| 0 … 4095 | magic, format version, key kind, height, width, count, fingerprint; CRC-32 of all that in the last four |
| count × 8 | commit words: 0 for an empty slot, else 2³² + CRC-32 of slot number, image key and mask |
| count × 16 | keys: BLAKE2b of the image that the mask belongs to |
| up to a page | nothing |
| count × ceil(H·W / 8) | masks, one bit a pixel in reading order, the first pixel in the highest bit |

Integers are little-endian. 100,000 masks of 256×256 take 0.82 GB.
"""

import struct
import zlib
from dataclasses import asdict, dataclass
from typing import Literal, get_args

Key = Literal["index", "content"]
"""What a slot of the cache stands for: the dataset's index, or the next image that was new."""

MAGIC = b"LUNGMASK"
PAGE = 4096
WORD_BYTES, KEY_BYTES = 8, 16

_VERSION = 1
_FIELDS = struct.Struct("<8sIIIIQI")  # magic, version, key kind, height, width, count, bytes of the fingerprint
_CRC = struct.Struct("<I")
_LONGEST = PAGE - _FIELDS.size - _CRC.size


class MaskCacheError(RuntimeError):
    """The cache cannot give what was asked for; the message says why, and what helps."""


class StaleMaskCacheError(MaskCacheError):
    """The file is a mask cache, but damaged, or not the one that was asked for."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What a mask cache holds, and where in the file it lies.

    Attributes:
        count: Number of slots.
        height: Height of the masks in pixels.
        width: Width of the masks in pixels.
        key: What a slot stands for, "index" or "content".
        fingerprint: Names the segmenter with all its settings; at most 4060 bytes of UTF-8.

    Raises:
        ValueError: A value is impossible.

    Example:
        >>> Layout(count=100_000, height=256, width=256, key="index", fingerprint="mine").nbytes
        821604352
    """

    count: int
    height: int
    width: int
    key: Key
    fingerprint: str

    def __post_init__(self) -> None:
        for name in ("count", "height", "width"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.key not in get_args(Key):
            raise ValueError(f'key must be "index" or "content", got {self.key!r}')
        length = len(self.fingerprint.encode())
        if not 0 < length <= _LONGEST:
            raise ValueError(f"fingerprint must have 1 to {_LONGEST} bytes, got {length}; shorten it to a hash")

    @property
    def mask_bytes(self) -> int:
        """Bytes of one packed mask."""
        return (self.height * self.width + 7) // 8

    @property
    def keys_offset(self) -> int:
        return PAGE + WORD_BYTES * self.count

    @property
    def masks_offset(self) -> int:
        table_end = self.keys_offset + KEY_BYTES * self.count
        return (table_end + PAGE - 1) // PAGE * PAGE

    @property
    def nbytes(self) -> int:
        """Size of the file."""
        return self.masks_offset + self.count * self.mask_bytes

    def encode(self) -> bytes:
        """The header."""
        text = self.fingerprint.encode()
        kind = get_args(Key).index(self.key)
        fields = _FIELDS.pack(MAGIC, _VERSION, kind, self.height, self.width, self.count, len(text))
        body = (fields + text).ljust(PAGE - _CRC.size, b"\0")
        return body + _CRC.pack(zlib.crc32(body))

    @classmethod
    def decode(cls, header: bytes) -> "Layout":
        """The layout that a header tells of.

        Raises:
            MaskCacheError: It is not the header of a mask cache.
            StaleMaskCacheError: It is one, but damaged or of another version.
        """
        if header[: len(MAGIC)] != MAGIC:
            raise MaskCacheError("is not a mask cache (it starts otherwise)")
        body, crc = header[: -_CRC.size], header[-_CRC.size :]
        if len(header) != PAGE or _CRC.pack(zlib.crc32(body)) != crc:
            raise StaleMaskCacheError("has a damaged header")
        _, version, kind, height, width, count, length = _FIELDS.unpack_from(body)
        if version != _VERSION:
            raise StaleMaskCacheError(f"has format version {version}, and this package reads {_VERSION}")
        try:
            text = body[_FIELDS.size : _FIELDS.size + length].decode()
            return cls(count=count, height=height, width=width, key=get_args(Key)[kind], fingerprint=text)
        except (IndexError, ValueError) as error:  # its checksum fits, so that somebody has forged it
            raise StaleMaskCacheError(f"has an impossible header ({error})") from error

    def differences(self, wanted: "Layout") -> list[str]:
        """What is here and what was wanted, for each thing that differs."""
        there, asked = asdict(self), asdict(wanted)
        return [f"{name} {there[name]!r} instead of {asked[name]!r}" for name in there if there[name] != asked[name]]
