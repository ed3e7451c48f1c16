"""What the file names of the Zhang Lab radiographs tell: the patient, the class, and bacteria or virus."""

import re
from typing import NamedTuple

__all__ = ["Told", "read_name"]

# Anything may stand before and after: copies are called "NAME (1)", "NAME_1", "NAME copy" or "Copy of NAME", and one
# published image is person447_virus_921_1. Version 3 numbers its patients across classes, so there the number alone is
# the patient. IM-0115 and NORMAL2-IM-0115 are different series, hence two patients.
_NORMAL = re.compile(
    r"(?<![a-z0-9])(?:(?P<series>(?:normal2-)?im-[0-9]+)-[0-9]+|normal-(?P<number>[0-9]+)-[0-9]+)", re.IGNORECASE
)
_PNEUMONIA = re.compile(
    r"(?<![a-z0-9])(?:(?P<person>person[0-9]+)(?:_(?P<kind>bacteria|virus))?(?![a-z0-9])|"
    r"(?P<kind3>bacteria|virus)-(?P<number>[0-9]+)-[0-9]+)",
    re.IGNORECASE,
)


class Told(NamedTuple):
    """What a name tells, None where it doesn't."""

    patient: str | None = None  # as published, whatever the case
    label: int | None = None
    kind: str | None = None  # bacteria or virus


def read_name(stem: str) -> Told:
    """Read a file name without its suffix.

    >>> read_name("person447_virus_921_1")
    Told(patient='person447', label=1, kind='virus')
    >>> read_name("IM-0115-0001 (1)"), read_name("scan 7")
    (Told(patient='IM-0115', label=0, kind=None), Told(patient=None, label=None, kind=None))
    """
    normal, ill = _NORMAL.search(stem), _PNEUMONIA.search(stem)
    if (normal is None) == (ill is None):
        return Told()
    if normal is not None:
        return Told(normal["number"] or normal["series"].upper(), 0)
    assert ill is not None
    kind = ill["kind"] or ill["kind3"]
    patient = ill["number"] or ill["person"].lower()
    return Told(patient, 1, kind.lower()) if kind else Told(patient)
