"""See what the augmentation does to your own images, and check that it works on them.

>>> from anatpaste_aug.inspection import check, preview
>>> figure = preview("chest.dcm")  # a matplotlib Figure, which a notebook shows  # doctest: +SKIP
>>> print(check(images))  # doctest: +SKIP

Drawing needs matplotlib: ``pip install "anatpaste_aug[examples]"``; image files need Pillow, and DICOM pydicom:
``pip install "anatpaste_aug[datasets]"``. On the command line: ``python -m anatpaste_aug preview`` and ``check``.
"""

from anatpaste_aug.inspection.check import check, check_folder
from anatpaste_aug.inspection.preview import preview
from anatpaste_aug.inspection.report import CheckReport, ImageCheck, Suspicion
from anatpaste_aug.inspection.sheet import contact_sheet

__all__ = ["CheckReport", "ImageCheck", "Suspicion", "check", "check_folder", "contact_sheet", "preview"]
