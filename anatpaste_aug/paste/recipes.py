"""The published methods as settings of the engine, with their sources and the differences from them."""

from dataclasses import replace

from anatpaste_aug.paste.config import PasteConfig

ANATPASTE = PasteConfig()
"""Sato et al., arXiv 2205.04282: a jittered patch of the same image, through a blurred shape inside the lungs.

As in the authors' code, if no lungs are found, the patch is pasted anywhere. Beyond its edges, the patch is black.
"""

CUTPASTE = PasteConfig(place="inside", shape="patch", opacity=(1.0, 1.0), blur=False, anatomy=False)
"""Li et al., arXiv 2104.04015: a large rectangle, or a scar, pasted with hard edges anywhere in the same image.

The paper draws the aspect ratio from (0.3, 1) ∪ (1, 3.3). Here it is log-uniform, so that both ranges are equally
likely.
"""

FPI = PasteConfig(
    source="batch",
    size="half_width",
    cut="same",
    jitter=0.0,
    place="middle",
    shape="patch",
    opacity=(0.05, 0.95),
    blur=False,
    anatomy=False,
)
"""Foreign Patch Interpolation (Tan et al. 2020, arXiv 2011.04197): x' = (1 − α)x + αy in a box of another image.

The target is α in the box. The authors' code sets it to 0 where the two images are equal; neither the paper nor this
package does. Their code swaps patches between the two images of a pair; here each image draws its own box and partner.
"""

PII = replace(FPI, beyond="source", blend="poisson_stronger")
"""Poisson Image Interpolation (Tan et al. 2021, arXiv 2107.02622): the box of FPI, blended by the stronger gradients.

For each pair of neighbors, the stronger of (1 − α)∇x and α∇y is the guidance, with x on the frame around the box. The
result is clipped to the range of x. The target is α in the box; the authors' code sets it to 0 where the change is
below 0.001 of the image's standard deviation, which is rare inside a box.
"""

NSA = PasteConfig(
    source="batch",
    patches=(1, 3),
    size="gamma",
    half_width=(0.03, 0.4),
    resize=(1.0, 0.5, 0.7, 1.3),
    jitter=0.0,
    place="foreground",
    shape="patch",
    opacity=(1.0, 1.0),
    blur=False,
    anatomy=False,
    blend="poisson_mixed",
    target="intensity",
    min_pixels=50,
)
"""Natural Synthetic Anomalies (Schlüter et al. 2022, arXiv 2109.15222), as published for chest radiographs.

Where paper and code differ, this follows the code: the limits of the half-widths hold for whole sides after resizing,
the clone is OpenCV's MIXED_CLONE over the patch's rectangle, and more than 0.7 of the patch must be foreground.
The authors try up to 199 places where the patch fits; here `place_tries` of them are drawn in advance, so that nothing
waits for the device. Their images are crops of 224×224 from 256×256, rotated by up to 3°; that is up to the caller.
"""
