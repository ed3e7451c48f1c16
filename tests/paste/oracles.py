"""FPI, PII and NSA as their public code defines them, one image at a time in NumPy, SciPy and OpenCV, nothing drawn.

Images are H×W, of grey levels 0 to 255 where nothing else is said. A box is (top, left, height, width) in pixels.
"""

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import spsolve
from skimage.filters import median
from skimage.morphology import disk


def square(center, half_width, shape):
    """The box of FPI and PII: as far as half the width around the center, cut off at the image's edge."""
    low = np.clip(np.subtract(center, half_width), 0, shape)
    high = np.clip(np.add(center, half_width), 0, shape)
    return (*low.tolist(), *(high - low).tolist())


def fpi(image, donor, box, alpha):
    """Foreign patch interpolation (Tan et al., arXiv 2011.04197; jemtan/FPI, ``patch_ex``).

    Returns:
        (1 − α) · image + α · donor in the box, in float64 and not rounded, and the target: α where the two differ.
    """
    image, donor = image.astype(float), donor.astype(float)
    inside = _inside(box, image.shape)
    result = np.where(inside, (1 - alpha) * image + alpha * donor, image)
    return result, alpha * (inside & (image != donor))


def pii(image, donor, box, alpha, tolerance=0.0):
    """Poisson image interpolation (Tan et al., arXiv 2107.02622; jemtan/PII, ``poisson_blend``).

    Args:
        image, donor: H×W on any scale.
        box: Of the pixels that change; those on the image's edge never do.
        alpha: Share of the donor's differences.
        tolerance: Grey levels are compared in steps of this size, to tell where the image has changed; 0 is exactly.
            The authors take 1e-3 on images of standard deviation 1.

    Returns:
        The image in float64, clipped to the range of the given one and not rounded, and the target: α where it changed.
    """
    image, donor = image.astype(float), donor.astype(float)
    unknown = _inside(box, image.shape)
    unknown[[0, -1]] = unknown[:, [0, -1]] = False
    if not unknown.any():
        return image, np.zeros_like(image)
    rows, columns = np.nonzero(unknown)
    number = np.full(image.shape, -1)
    number[rows, columns] = np.arange(len(rows))
    equations = sparse.lil_matrix((len(rows), len(rows)))
    equations.setdiag(4)
    right_side = np.zeros(len(rows))
    for y, x in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        there = rows + y, columns + x
        own, theirs = (1 - alpha) * (image[unknown] - image[there]), alpha * (donor[unknown] - donor[there])
        right_side += np.where(np.abs(own) > np.abs(theirs), own, theirs)
        neighbor = number[there]
        right_side += np.where(neighbor < 0, image[there], 0)
        equations[np.flatnonzero(neighbor >= 0), neighbor[neighbor >= 0]] = -1
    result = image.copy()
    result[unknown] = spsolve(equations.tocsc(), right_side).clip(image.min(), image.max())
    before, after = (np.floor(a / tolerance) if tolerance else a for a in (image, result))
    return result, alpha * (unknown & (before != after))


def nsa(image, donor, patches):
    """Natural synthetic anomalies on chest radiographs (Schlüter et al., arXiv 2109.15222).

    It is ``patch_ex`` of hmsch/natural-synthetic-anomalies with the settings of ``train_chest_xray.py``
    (Shift-Intensity-M).

    Args:
        image, donor: uint8.
        patches: For each attempt, pasted one after the other: the box that is cut from the donor, the factor that it is
            resized by (clipped to 0.7…1.3 already), and the places to try, each the row and column of the center.

    Returns:
        The image in uint8, the target in float64, and per attempt the box where it was pasted, or None.
    """
    import cv2

    foreground, donor_foreground = (cv2.medianBlur((a > 20).astype(np.uint8), 7) for a in (image, donor))
    result, shape, pasted = image.copy(), np.zeros_like(image), []
    for box, factor, places in patches:
        cut = np.s_[box[0] : box[0] + box[2], box[1] : box[1] + box[3]]
        height, width = nsa_size(box[2:], factor, image.shape)
        patch = cv2.resize(donor[cut], (width, height))
        theirs = cv2.resize(donor_foreground[cut], (width, height))
        enough = donor_foreground[cut].mean() > 0.7 and theirs.mean() > 0.7
        placed = nsa_place(theirs, foreground, places) if enough and (height - 2) * (width - 2) >= 50 else None
        pasted.append(placed)
        if placed is None:
            continue
        top, left, height, width = placed
        mask = np.pad(np.full((height - 2, width - 2), 255, np.uint8), 1)
        center = (left + width - width // 2, top + height // 2)
        three = [np.dstack([a, np.zeros_like(a), np.zeros_like(a)]) for a in (patch, result)]
        result = cv2.seamlessClone(*three, mask, center, cv2.MIXED_CLONE)[..., 0]
        there = np.s_[top : top + height, left : left + width]
        shape[there] = theirs | foreground[there]
    return result, nsa_target(image, result, shape), pasted


def nsa_size(size, factor, shape):
    """Height and width of a resized patch. Bounds of half the width in the paper bound the whole width here."""
    low, high = (np.round(share * np.array(shape)).astype(int) for share in (0.03, 0.4))
    height, width = size
    new_height = np.clip(factor * height, low[0], high[0])
    new_width = np.clip(int(new_height / height * width), low[1], high[1])
    return int(np.clip(int(new_width / width * height), low[0], high[0])), int(new_width)


def nsa_place(patch_foreground, foreground, places):
    """The first place at which more than 0.7 of the patch's foreground falls on the image's; None if there is none."""
    height, width = patch_foreground.shape
    for row, column in places:
        top, left = row - height // 2, column - width // 2
        both = patch_foreground & foreground[top : top + height, left : left + width]
        if both.sum() / patch_foreground.sum() > 0.7:
            return top, left, height, width
    return None


def nsa_target(image, result, shape):
    """What the network learns: logistic in the smoothed change of each pixel that changed by more than a grey level.

    Args:
        image, result: uint8.
        shape: uint8, 1 where a patch is.
    """
    import cv2

    change = np.abs(image.astype(float) - result)
    changed = cv2.medianBlur((shape * change > 1).astype(np.uint8), 5)
    smoothed = median(changed * change, disk(5))
    return changed / (1 + np.exp(-(smoothed - 4) / 2))


def _inside(box, shape):
    inside = np.zeros(shape, bool)
    inside[box[0] : box[0] + box[2], box[1] : box[1] + box[3]] = True
    return inside
