"""Splits of a dataset by patient, and the files that reproduce them on other machines."""

import hashlib
import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from anatpaste_aug.datasets.files.parallel import on_all, some_of
from anatpaste_aug.datasets.files.sixteen_bits import check_white
from anatpaste_aug.datasets.records import DatasetError, Record, Unreadable
from anatpaste_aug.files import atomic_path

__all__ = ["Split", "by_patient", "draw"]

_FORMAT, _VERSION = "anatpaste_aug split", 1
_PARTS = ("train", "val", "test")
_NAMES = {"train": "training", "val": "validation", "test": "test"}
_HEAD = {"format": str, "version": int, "dataset": str, "protocol": str, "seed": int, "counts": dict}
_FIELDS = {field.name for field in fields(Record)}


@dataclass(frozen=True)
class Split:
    """Disjoint sets of records for training (normal images only), validation and test.

    Attributes:
        dataset: Name of the dataset.
        protocol: How the images were split, in words; meant to be shown with every result.
        seed: Seed of the split.
        train: Normal images.
        val: Validation images.
        test: Test images.
        unreadable: Images that `without` left out.
        white: The value of white in 16-bit files that do not specify it, see `find_white`; None without such files.

    Raises:
        DatasetError: An image in train is abnormal, an image is listed twice, or a patient is in several sets.
        ValueError: ``white`` is not between 1 and 65535.
    """

    dataset: str
    protocol: str
    seed: int
    train: tuple[Record, ...]
    val: tuple[Record, ...]
    test: tuple[Record, ...]
    unreadable: tuple[Unreadable, ...] = ()
    white: int | None = None

    def __post_init__(self) -> None:
        check_white(self.white)
        if abnormal := [record.path for record in self.train if record.label]:
            raise DatasetError(
                f"train has {len(abnormal)} abnormal image(s), such as {abnormal[0]}: it takes normal ones only"
            )
        paths = Counter(record.path for record in self.records())
        if twice := [path for path, count in paths.items() if count > 1]:
            raise DatasetError(f"{len(twice)} image(s) listed more than once, such as {twice[0]}")
        homes: dict[str, str] = {}
        for part in _PARTS:
            for record in getattr(self, part):
                if homes.setdefault(record.patient, part) != part:
                    raise DatasetError(f"patient {record.patient} is in both {homes[record.patient]} and {part}")

    def records(self) -> tuple[Record, ...]:
        """Return all images: those of train, then of val, then of test."""
        return self.train + self.val + self.test

    def counts(self) -> dict[str, dict[str, int]]:
        """Count the images per set and class.

        Example:
            >>> normal = Record("a.png", label=0, patient="a", source="train")
            >>> Split("mine", "by hand", 0, train=(normal,), val=(), test=()).counts()["train"]
            {'normal': 1, 'abnormal': 0}
        """
        labels = {part: [record.label for record in getattr(self, part)] for part in _PARTS}
        return {part: {"normal": values.count(0), "abnormal": values.count(1)} for part, values in labels.items()}

    def without(self, unreadable: Iterable[Unreadable]) -> "Split":
        """Return the split without images that cannot be read; ``protocol`` says how many are left out of which set.

        Raises:
            DatasetError: A set would lose its last image of a class.

        Example:
            >>> a, b = (Record(f"{name}.png", label=0, patient=name, source="train") for name in "ab")
            >>> split = Split("mine", "by hand", 0, train=(a, b), val=(), test=())
            >>> split.without([Unreadable("b.png", "is empty (0 bytes)")]).protocol
            'by hand; 1 unreadable image(s) left out: 1 of training'
        """
        gone = {bad.path: bad for bad in unreadable}
        if not gone:
            return self
        parts: dict[str, Any] = {part: tuple([r for r in getattr(self, part) if r.path not in gone]) for part in _PARTS}
        for part, records in parts.items():
            if lost := {r.label for r in getattr(self, part)} - {r.label for r in records}:
                kinds = " and ".join(("normal", "abnormal")[label] for label in sorted(lost))
                raise DatasetError(
                    f"without the {len(gone)} images that cannot be read, {part} has no {kinds} image left: download "
                    f"them again: {some_of([str(bad) for bad in gone.values()])}"
                )
        numbers = {_NAMES[part]: len(getattr(self, part)) - len(records) for part, records in parts.items()}
        numbers["no set"] = len(gone) - sum(numbers.values())
        where = ", ".join(f"{number} of {name}" for name, number in numbers.items() if number)
        protocol = f"{self.protocol}; {len(gone)} unreadable image(s) left out: {where}"
        return replace(self, **parts, protocol=protocol, unreadable=(*self.unreadable, *gone.values()))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the split as JSON, one record per line; atomically.

        Missing folders are created, and an existing file is replaced.
        """
        path = Path(path)
        head = {"format": _FORMAT, "version": _VERSION, "dataset": self.dataset, "protocol": self.protocol}
        head |= {"seed": self.seed, "counts": self.counts()}
        blocks = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
        for part in _PARTS:
            lines = ",\n".join(f"  {json.dumps(_row(r))}" for r in getattr(self, part))
            blocks.append(f'"{part}": [\n{lines}\n]')
        if self.unreadable:
            lines = ",\n".join(f"  {json.dumps(asdict(bad))}" for bad in self.unreadable)
            blocks.append(f'"unreadable": [\n{lines}\n]')
        if self.white is not None:
            blocks.append(f'"white": {self.white}')
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
            file.write("{\n" + ",\n".join(blocks) + "\n}\n")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Split":
        """Read a file that `save` wrote.

        Raises:
            DatasetError: The file does not exist, is not a split file, is of a newer version, or contradicts itself.
        """
        path = Path(path)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise DatasetError(f"cannot read the split file {path}: {error.strerror or error}") from error
        except (ValueError, RecursionError) as error:
            raise DatasetError(f"{path} is not a split file, or is damaged: {error}. Make the split again") from error
        try:
            return _parse(cls, content)
        except ValueError as error:
            raise DatasetError(f"split file {path}: {error}. Make the split again") from error

    def verify(self, root: str | os.PathLike[str], *, progress: bool = False) -> None:
        """Check that all images of the split are below ``root``, and match the SHA-256 of their records.

        Args:
            root: Folder that the paths are relative to.
            progress: Show a progress bar.

        Raises:
            DatasetError: ``root`` or images are missing, or images differ; the message gives their number and the first
                ones.
        """
        if not (root := Path(root)).is_dir():
            raise DatasetError(f"{root} is not a folder: give the folder that the split's paths are relative to")
        records = self.records()
        if missing := [record.path for record in records if not (root / record.path).is_file()]:
            raise DatasetError(
                f"{len(missing)} of the split's {len(records)} images are missing in {root}: {some_of(missing)}. "
                "Complete the download, or give the folder that the paths are relative to"
            )
        known = [record for record in records if record.sha256]
        hashes = _hashes(root, known, progress)
        if other := [r.path for r, found in zip(known, hashes, strict=True) if found != r.sha256]:
            raise DatasetError(
                f"{len(other)} of the split's {len(records)} images in {root} are not those that it was made with "
                f"(their SHA-256 differs): {some_of(other)}. Download them again, or make a new split"
            )

    def hashed(self, root: str | os.PathLike[str], *, progress: bool = False) -> "Split":
        """Return the split with the SHA-256 of every file, so that `verify` detects other images.

        Raises:
            DatasetError: See `verify`.
        """
        self.verify(root, progress=progress)  # the known hashes are right then
        unknown = [record for record in self.records() if record.sha256 is None]
        hashes = _hashes(Path(root), unknown, progress)
        new = {r.path: replace(r, sha256=found) for r, found in zip(unknown, hashes, strict=True)}
        train, val, test = (tuple([new.get(r.path, r) for r in part]) for part in (self.train, self.val, self.test))
        return replace(self, train=train, val=val, test=test)


def _row(record: Record) -> dict[str, Any]:
    return {name: value for name, value in asdict(record).items() if name != "mask" or value is not None}


def _parse(cls: type[Split], content: Any) -> Split:
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise DatasetError(f'not a split file of this package (no "format": "{_FORMAT}")')
    if content.get("version") != _VERSION:
        raise DatasetError(f"version {content.get('version')!r}; this release of anatpaste_aug reads {_VERSION}")
    if strange := (content.keys() - {"unreadable", "white"}) ^ {*_HEAD, *_PARTS}:
        raise DatasetError(f"missing or unknown entries: {', '.join(sorted(map(repr, strange)))}")
    for name, kind in _HEAD.items():
        if type(content[name]) is not kind:
            raise DatasetError(f"{name}={content[name]!r}, expected {kind.__name__}")
    parts: dict[str, Any] = {part: _parse_records(part, content[part]) for part in _PARTS}
    unreadable = _parse_unreadable(content.get("unreadable", []))
    more: dict[str, Any] = {"unreadable": unreadable, "white": content.get("white")}
    split = cls(content["dataset"], content["protocol"], content["seed"], **parts, **more)
    if split.counts() != content["counts"]:
        raise DatasetError(f"its counts are {content['counts']}, but it has {split.counts()}")
    return split


def _parse_records(part: str, rows: Any) -> tuple[Record, ...]:
    if not isinstance(rows, list):
        raise DatasetError(f"{part} is not a list")
    records = []
    for row in rows:
        # Hashes and masks are optional.
        if (
            not isinstance(row, dict)
            or row.keys() | {"sha256", "mask"} != _FIELDS
            or not isinstance(row["findings"], list)
        ):
            raise DatasetError(f"{part} has an entry that is not a record: {str(row)[:200]}")
        records.append(Record(**{**row, "findings": tuple(row["findings"])}))
    return tuple(records)


def _parse_unreadable(rows: Any) -> tuple[Unreadable, ...]:
    if not isinstance(rows, list) or any(not isinstance(r, dict) or r.keys() != {"path", "reason"} for r in rows):
        raise DatasetError(f"unreadable is not a list of paths and reasons: {str(rows)[:200]}")
    return tuple([Unreadable(**row) for row in rows])


def _hashes(root: Path, records: Sequence[Record], progress: bool) -> list[str]:
    def sha256(record: Record) -> str:
        try:
            with (root / record.path).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise DatasetError(f"{root / record.path}: {error.strerror or error}") from error

    return on_all(sha256, records, noun="files", progress=progress)


def by_patient(records: Sequence[Record], seed: int) -> list[list[Record]]:
    """Group records by patient, the patients in a random order that depends on the seed and their names only."""
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        groups[record.patient].append(record)
    return [groups[name] for name in sorted(groups, key=lambda n: hashlib.sha256(f"{seed}/{n}".encode()).digest())]


def draw(patients: Sequence[list[Record]], count: int, most: int) -> list[Record]:
    """Draw ``count`` records of whole patients or, if that is impossible, of whole patients and a part of another.

    ``most`` limits the total number of records of the drawn patients, since the rest of a part is lost for training.
    """
    drawn: list[Record] = []
    passed: list[list[Record]] = []
    for images in patients:
        if len(images) <= count - len(drawn):
            drawn += images
        else:
            passed.append(images)
    lacking = count - len(drawn)
    if lacking and passed:
        images = min(passed, key=len)  # the smallest patient loses the fewest images
        if len(drawn) + len(images) <= most:
            drawn += images[:lacking]
    return drawn
