import numpy as np
import pytest
import torch
from helpers.guards import all_on_device, on_device, whole_graphs
from helpers.oracles import bits, smooth_images
from scipy import sparse
from scipy.sparse.linalg import spsolve
from torch.autograd import gradcheck

from anatpaste_aug.functional._numba import HAS_NUMBA
from anatpaste_aug.functional.poisson import poisson_blend

GUIDANCES = ["source", "stronger", "mixed"]
all_guidances = pytest.mark.parametrize("guidance", GUIDANCES)


@pytest.fixture(params=[True, False], ids=["kernels", "torch code"])
def path(request, monkeypatch):
    """What the CPU runs, and what accelerators run."""
    if request.param:
        pytest.importorskip("numba", reason="needs Numba: pip install numba")
    monkeypatch.setattr("anatpaste_aug.functional._numba.HAS_NUMBA", request.param)


def case(size=(96, 80), count=2, channels=1, seed=0, dtype=torch.float32):
    """Targets and sources in [0, 1), weights and alpha."""
    images = smooth_images(2 * count, *size, channels, seed).to(dtype) / 256  # float32 holds their differences exactly
    generator = torch.Generator().manual_seed(seed)
    weight = torch.rand(count, 1, *size, generator=generator).to(dtype)
    return images[:count], images[count:], weight, torch.rand(count, generator=generator).to(dtype)


def options(guidance, alpha):
    return {"guidance": guidance, "alpha": alpha if guidance == "stronger" else None}


def blended_by_spsolve(target, source, box, guidance, alpha, weight):
    """One image H×W: the equations of each pixel inside the frame, pair of neighbors by pair, solved directly."""
    (top, left), (height, width) = box[:2], target.shape
    bottom, right = min(top + box[2], height), min(left + box[3], width)
    top, left = max(top, 0), max(left, 0)
    number = -np.ones(target.shape, dtype=int)
    unknown = [(y, x) for y in range(top + 1, bottom - 1) for x in range(left + 1, right - 1)]
    if not unknown:
        return target
    rows, columns = np.array(unknown).T
    number[rows, columns] = np.arange(len(unknown))
    equations, right_side = [sparse.csc_matrix((len(unknown),) * 2)], np.zeros(len(unknown))
    d = {(0, 1): np.diff(target, axis=1, append=0), (1, 0): np.diff(target, axis=0, append=0)}
    s = {(0, 1): np.diff(source, axis=1, append=0), (1, 0): np.diff(source, axis=0, append=0)}
    from_source = np.abs(s[0, 1] - s[1, 0]) > np.abs(d[0, 1] - d[1, 0])
    for step in ((0, 1), (1, 0)):
        if guidance == "source":
            guide = s[step]
        elif guidance == "mixed":
            guide = np.where(from_source, s[step], d[step])
        else:
            own, theirs = (1 - alpha) * d[step], alpha * s[step]
            guide = np.where(np.abs(own) > np.abs(theirs), own, theirs)
        guide = weight * guide + (1 - weight) * d[step]
        for sign in (1, -1):  # the neighbor ahead, and the one behind
            y, x = rows + sign * step[0], columns + sign * step[1]
            first = (rows, columns) if sign == 1 else (y, x)  # a difference belongs to its left or upper pixel
            right_side -= sign * guide[first]
            here, there = np.arange(len(unknown)), number[y, x]
            inner = there >= 0
            ones = np.ones(len(unknown))
            equations.append(sparse.csc_matrix((ones, (here, here)), shape=(len(unknown),) * 2))
            entries = (-ones[inner], (here[inner], there[inner]))
            equations.append(sparse.csc_matrix(entries, shape=(len(unknown),) * 2))
            right_side[~inner] += target[y, x][~inner]
    result = target.copy()
    result[rows, columns] = spsolve(sum(equations).tocsc(), right_side, permc_spec="MMD_AT_PLUS_A")
    return result


def assert_as_spsolve(target, source, boxes, guidance, alpha, weight):
    """Tolerance: 1e-4 of the range, which is 1."""
    result = poisson_blend(target, source, torch.tensor(boxes), **options(guidance, alpha), weight=weight)
    assert (result - expected_of_batch(target, source, boxes, guidance, alpha, weight)).abs().max() < 1e-4


def expected_of_batch(target, source, boxes, guidance, alpha, weight):
    weights, expected = torch.ones_like(target[:, :1]) if weight is None else weight, torch.empty_like(target)
    for i, box in enumerate(boxes):
        for channel in range(target.shape[1]):
            d, s, w = (a.double().numpy() for a in (target[i, channel], source[i, channel], weights[i, 0]))
            solved = blended_by_spsolve(d, s, box, guidance, float(alpha[i]), w)
            expected[i, channel] = torch.from_numpy(solved)
    return expected


# against a direct solver


@all_guidances
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.usefixtures("path")
def test_boxes_of_a_batch_equal_a_sparse_solver(guidance, weighted):
    boxes = [
        (10, 12, 40, 31),
        (0, 0, 96, 80),  # the image
        (0, 20, 30, 60),  # at two edges
        (50, 7, 3, 3),
        (40, 7, 3, 50),
        (5, 70, 70, 4),
        (-9, -5, 40, 25),  # beyond two edges
        (80, 60, 90, 90),
    ]
    target, source, weight, alpha = case(count=len(boxes))
    assert_as_spsolve(target, source, boxes, guidance, alpha, weight if weighted else None)


@all_guidances
@pytest.mark.usefixtures("path")
def test_channels_are_solved_on_their_own(guidance):
    target, source, weight, alpha = case(count=1, channels=3)
    assert_as_spsolve(target, source, [(10, 12, 40, 31)], guidance, alpha, weight)


@pytest.mark.slow
@all_guidances
@pytest.mark.parametrize(
    ("size", "box"),
    [((512, 512), (0, 0, 512, 512)), ((300, 530), (4, 9, 290, 512)), ((520, 200), (8, 64, 512, 129))],
)
def test_large_boxes_equal_a_sparse_solver(guidance, size, box, monkeypatch):
    """Tolerance: 1e-4 of the range, which is 1."""
    target, source, weight, alpha = case(size, count=1)
    for weights in (None, weight):
        expected = expected_of_batch(target, source, [box], guidance, alpha, weights)
        for kernels in {HAS_NUMBA, False}:
            monkeypatch.setattr("anatpaste_aug.functional._numba.HAS_NUMBA", kernels)
            result = poisson_blend(target, source, torch.tensor([box]), **options(guidance, alpha), weight=weights)
            assert (result - expected).abs().max() < 1e-4


# against OpenCV


def cloned(target, source, mask, mode):
    """H×W uint8 by ``cv2.seamlessClone`` with the source where it is, and the box and weight that correspond to it."""
    cv2 = pytest.importorskip("cv2", reason="needs OpenCV: pip install opencv-python-headless")
    mask = np.pad(mask[1:-1, 1:-1], 1)
    left, top, width, height = cv2.boundingRect(mask)
    center = (left + width // 2, top + height // 2)
    three = (np.repeat(image[..., None], 3, axis=2) for image in (source, target))
    # A copy, because OpenCV 5 erodes the mask that it is given.
    result = cv2.seamlessClone(*three, mask.copy(), center, getattr(cv2, mode))[..., 0]
    eroded = cv2.erode(np.pad(mask, 3), np.ones((3, 3)), iterations=3)[3:-3, 3:-3]
    return result, (top, left, height, width), eroded / 255


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize(("guidance", "mode"), [("source", "NORMAL_CLONE"), ("mixed", "MIXED_CLONE")])
@pytest.mark.parametrize("shape", ["rectangle", "odd rectangle", "image", "ellipse", "two"])
def test_opencv_clones_alike(guidance, mode, shape):
    """Tolerance: 1 grey level on 99.9 % of the pixels of the box, 2 on all."""
    y, x = np.ogrid[:128, :112]
    inside = {
        "rectangle": (abs(y - 60) < 30) & (abs(x - 50) < 41),
        "odd rectangle": (y >= 11) & (y < 52) & (x >= 30) & (x < 101),
        "image": np.ones((128, 112), bool),
        "ellipse": ((y - 61) / 45) ** 2 + ((x - 50) / 32) ** 2 < 1,
        "two": (abs(y - 40) < 14) & (abs(x - 35) < 20) | (abs(y - 90) < 20) & (abs(x - 80) < 9),
    }[shape]
    rng = np.random.default_rng(0)
    images = smooth_images(2, 128, 112).numpy()[:, 0] * 0.8 + rng.normal(20, 5, (2, 128, 112))
    target, source = images.clip(0, 255).astype(np.uint8)
    theirs, box, weight = cloned(target, source, (inside * 255).astype(np.uint8), mode)
    tensors = (torch.from_numpy(np.asarray(a, np.float32))[None, None] for a in (target, source))
    result = poisson_blend(
        *tensors, torch.tensor([box]), guidance=guidance, weight=torch.from_numpy(weight)[None, None]
    )
    ours = result[0, 0].clamp(0, 255).int().numpy()
    difference = np.abs(ours - theirs.astype(int))
    area = box[2] * box[3]
    assert (theirs != target).sum() > 0.2 * inside.sum()
    assert (difference > 1).sum() <= 0.001 * area
    assert difference.max() <= 2


# what else is promised


@all_guidances
@pytest.mark.usefixtures("path")
def test_the_frame_and_what_lies_outside_are_the_target_bit_for_bit(guidance):
    target, source, weight, alpha = case()
    target[:, :, :3] = -0.0
    target[1, :, 90:] = torch.nan
    result = poisson_blend(
        target, source, torch.tensor([[2, 3, 40, 31]] * 2), **options(guidance, alpha), weight=weight
    )
    inside = torch.zeros_like(target, dtype=torch.bool)
    inside[:, :, 3:41, 4:33] = True
    assert torch.equal(bits(result)[~inside], bits(target)[~inside])
    assert ((result - target).abs()[inside] > 0).float().mean() > 0.9


@all_guidances
@pytest.mark.usefixtures("path")
@pytest.mark.parametrize(
    "box", [(5, 5, 2, 9), (5, 5, 9, 2), (0, 0, 0, 0), (7, 7, -4, 20), (94, 3, 30, 30), (-50, 0, 9, 9)]
)
def test_boxes_without_an_inside_leave_the_image(guidance, box):
    target, source, _, alpha = case()
    result = poisson_blend(target, source, torch.tensor([box] * 2), **options(guidance, alpha))
    assert torch.equal(result, target)
    assert result.data_ptr() != target.data_ptr()


@all_guidances
@pytest.mark.usefixtures("path")
def test_a_weight_of_zero_gives_the_target(guidance):
    target, source, _, alpha = case()
    box = torch.tensor([[2, 3, 40, 31]] * 2)
    result = poisson_blend(target, source, box, **options(guidance, alpha), weight=torch.zeros_like(target))
    torch.testing.assert_close(result, target, rtol=0, atol=1e-6)


@pytest.mark.usefixtures("path")
def test_differences_of_the_target_give_the_target():
    target, _, weight, _ = case()
    result = poisson_blend(target, target + 0.25, torch.tensor([[2, 3, 40, 31]] * 2), guidance="source", weight=weight)
    torch.testing.assert_close(result, target, rtol=0, atol=1e-5)


@all_guidances
@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_float32_rounded(guidance, dtype):
    target, source, weight, alpha = (tensor.to(dtype) for tensor in case())
    box = torch.tensor([[2, 3, 40, 31], [50, 0, 40, 31]])
    halves = poisson_blend(target, source, box, **options(guidance, alpha), weight=weight)
    wide = poisson_blend(target.float(), source.float(), box, **options(guidance, alpha.float()), weight=weight.float())
    assert torch.equal(halves, wide.to(dtype))


@all_guidances
@pytest.mark.usefixtures("path")
def test_autocast_changes_nothing(guidance):
    target, source, weight, alpha = case()
    box = torch.tensor([[2, 3, 40, 31]] * 2)
    expected = poisson_blend(target, source, box, **options(guidance, alpha), weight=weight)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(poisson_blend(target, source, box, **options(guidance, alpha), weight=weight), expected)


@all_guidances
@pytest.mark.usefixtures("path")
def test_memory_formats_and_the_given_images(guidance):
    target, source, weight, alpha = case(channels=3)
    box = torch.tensor([[2, 3, 40, 31]] * 2)
    expected = poisson_blend(target, source, box, **options(guidance, alpha), weight=weight)
    given = target.clone()
    last = (tensor.contiguous(memory_format=torch.channels_last) for tensor in (target, source))
    assert torch.equal(poisson_blend(*last, box, **options(guidance, alpha), weight=weight), expected)
    assert torch.equal(target, given)


@all_guidances
def test_gradients(guidance):
    target, source, weight, alpha = case((8, 7), dtype=torch.float64)
    target, source = target + torch.rand_like(target), source + torch.rand_like(source)  # no ties, no kinks
    alpha = alpha * 0.8 + 0.1
    box = torch.tensor([[1, 2, 6, 5], [0, 0, 8, 7]])
    inputs = [tensor.clone().requires_grad_() for tensor in (target, source, weight)]
    if guidance == "stronger":
        inputs.append(alpha.requires_grad_())

    def blended(target, source, weight, alpha=None):
        return poisson_blend(target, source, box, guidance=guidance, alpha=alpha, weight=weight)

    assert gradcheck(blended, inputs)


@all_guidances
@pytest.mark.usefixtures("guarded")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [(96, 80), (33, 301)])
def test_nothing_waits_for_an_accelerator(guidance, dtype, size):
    images = on_device(1, dtype, size)
    box = torch.ones(4, 4, dtype=torch.int64, device="cuda")
    result = poisson_blend(images, images + 1, box, **options(guidance, images[:, 0, 0, 0]), weight=images)
    assert all_on_device(result)
    assert result.dtype == dtype


@whole_graphs
@all_guidances
@pytest.mark.usefixtures("path")
def test_it_compiles_into_one_graph(guidance):
    target, source, weight, alpha = case()
    torch._dynamo.reset()
    compiled = torch.compile(poisson_blend, fullgraph=True, backend="eager")
    for box in (torch.tensor([[2, 3, 40, 31]] * 2), torch.tensor([[20, 3, 50, 70], [0, 0, 1, 1]])):
        given = (target, source, box)
        expected = poisson_blend(*given, **options(guidance, alpha), weight=weight)
        assert torch.equal(compiled(*given, **options(guidance, alpha), weight=weight), expected)


@pytest.mark.usefixtures("path")
def test_an_empty_batch():
    target, source, *_ = case()
    box = torch.zeros(0, 4, dtype=torch.int64)
    assert poisson_blend(target[:0], source[:0], box, guidance="source").shape == (0, 1, 96, 80)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"guidance": "normal"}, ValueError, "source, stronger, mixed, got 'normal'"),
        ({"target": torch.zeros(2, 1, 9, 8, dtype=torch.uint8)}, TypeError, r"got torch\.uint8 and torch\.float32"),
        ({"source": torch.zeros(2, 1, 9, 8).half()}, TypeError, r"got torch\.float32 and torch\.float16"),
        ({"source": torch.zeros(2, 1, 9, 9)}, ValueError, r"got \(2, 1, 9, 8\) and \(2, 1, 9, 9\)"),
        ({"box": torch.zeros(2, 4)}, TypeError, r"got torch\.float32; pass box\.long\(\)"),
        ({"box": torch.zeros(3, 4, dtype=torch.int64)}, ValueError, r"\(2, 4\), got \(3, 4\)"),
        ({"guidance": "stronger"}, ValueError, "alpha is required"),
        ({"alpha": torch.zeros(2)}, ValueError, "must be None"),
        ({"guidance": "stronger", "alpha": torch.zeros(3)}, ValueError, r"alpha must have shape \(2,\), got \(3,\)"),
        ({"weight": torch.zeros(2, 9, 8)}, ValueError, r"\(2, 1, 9, 8\), got \(2, 9, 8\)"),
    ],
)
def test_errors(changes, error, message):
    images = torch.zeros(2, 1, 9, 8)
    given = {"target": images, "source": images, "box": torch.zeros(2, 4, dtype=torch.int64), "guidance": "source"}
    with pytest.raises(error, match=message):
        poisson_blend(**given | changes)


@pytest.mark.usefixtures("guarded")
def test_a_box_on_another_device_is_an_error():
    with pytest.raises(ValueError, match="box is on cpu and the target on cuda"):
        poisson_blend(on_device(), on_device(), torch.zeros(4, 4, dtype=torch.int64), guidance="source")
