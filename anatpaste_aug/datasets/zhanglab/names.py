"""Parse the file names of the Zhang Lab radiographs: patient, class, and bacteria or virus."""

import re
from typing import NamedTuple

__all__ = ["ImageName", "read_name"]

# Other text may precede and follow: copies are called "NAME (1)", "NAME_1", "NAME copy" or "Copy of NAME", and one
# published image is person447_virus_921_1. Version 3 numbers patients across classes, so the number alone identifies
# one. IM-0115 and NORMAL2-IM-0115 are different series, hence two patients.
_NORMAL = re.compile(
    r"(?<![a-z0-9])(?:(?P<series>(?:normal2-)?im-[0-9]+)-[0-9]+|normal-(?P<number>[0-9]+)-[0-9]+)", re.IGNORECASE
)
_PNEUMONIA = re.compile(
    r"(?<![a-z0-9])(?:(?P<person>person[0-9]+)(?:_(?P<kind>bacteria|virus))?(?![a-z0-9])|"
    r"(?P<kind3>bacteria|virus)-(?P<number>[0-9]+)-[0-9]+)",
    re.IGNORECASE,
)


class ImageName(NamedTuple):
    """The parts of a file name; None for those that it does not have."""

    patient: str | None = None  # in the published case
    label: int | None = None
    kind: str | None = None  # bacteria or virus


def read_name(stem: str) -> ImageName:
    """Parse a file name without its suffix.

    >>> read_name("person447_virus_921_1")
    ImageName(patient='person447', label=1, kind='virus')
    >>> read_name("IM-0115-0001 (1)").patient, read_name("scan 7")
    ('IM-0115', ImageName(patient=None, label=None, kind=None))
    """
    normal, abnormal = _NORMAL.search(stem), _PNEUMONIA.search(stem)
    if (normal is None) == (abnormal is None):
        return ImageName()
    if normal is not None:
        return ImageName(normal["number"] or normal["series"].upper(), 0)
    assert abnormal is not None
    kind = abnormal["kind"] or abnormal["kind3"]
    patient = abnormal["number"] or abnormal["person"].lower()
    return ImageName(patient, 1, kind.lower()) if kind else ImageName(patient)
