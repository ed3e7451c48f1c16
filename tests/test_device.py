"""The transforms on fake accelerator tensors and, if there is one, on a CUDA device."""

import pytest
import torch
from guards import all_on_device, on_device, whole_graphs
from oracles import smooth_images
from torch._dynamo.testing import CompileCounter

from anatpaste_aug import AnatPasteTransform
from anatpaste_aug.functional import clear_border, paste, remove_small_components, segment_lungs, soft_mask
from anatpaste_aug.paste import ANATPASTE, PasteConfig, sample_params

# the guard itself


@pytest.mark.usefixtures("guarded")
@pytest.mark.parametrize(
    "operation",
    [
        lambda x: x.cpu(),
        lambda x: torch.zeros(3).to(x.device),
        lambda x: torch.tensor([0.5, 0.5], device=x.device),
        lambda x: torch.tensor(0.5, device=x.device),
        lambda x: x.sum().item(),
        lambda x: x.sum().tolist(),
        lambda x: bool((x > 0).any()),
        lambda x: torch.equal(x, x),
        lambda x: x.nonzero(),
        lambda x: x.unique(),
        lambda x: x[x > 0],
        lambda x: x.__setitem__(x > 0, 5.0),
        lambda x: x[torch.zeros(2, dtype=torch.int64)],
        lambda x: torch.histc(x),
        lambda x: torch.bincount(x.flatten().long()),
        lambda x: torch.multinomial(x.flatten() + 1, 1),
    ],
)
def test_the_guard_rejects_what_waits_for_the_device(operation):
    # What fake tensors refuse is a RuntimeError that names the operator.
    with pytest.raises((AssertionError, RuntimeError), match=r"spans|aten|mask|not for an accelerator"):
        operation(on_device())


@pytest.mark.usefixtures("guarded")
def test_the_guard_lets_pass_what_stays_on_the_device():
    images = on_device()
    assert all_on_device([images * 2, images.cumsum(1), torch.where(images > 0, images, 0.0), images.sum()])


# without a host read, a copy or a shape that depends on data


all_kinds = pytest.mark.parametrize(
    ("channels", "dtype"), [(1, torch.uint8), (3, torch.uint8), (1, torch.float32), (3, torch.bfloat16)]
)


@pytest.mark.usefixtures("guarded")
@all_kinds
@pytest.mark.parametrize("size", [(96, 80), (256, 256), (301, 33)])
def test_segmentation(channels, dtype, size):
    mask, converged = segment_lungs(on_device(channels, dtype, size), return_converged=True)
    assert all_on_device([mask, converged])
    assert mask.shape == (4, 1, *size)
    assert mask.dtype == converged.dtype == torch.bool


@pytest.mark.usefixtures("guarded")
@pytest.mark.parametrize("function", [clear_border, lambda mask: remove_small_components(mask, 9)])
def test_components(function):
    assert all_on_device([function(on_device()[:, 0] > 0)])


@pytest.mark.usefixtures("guarded")
@pytest.mark.parametrize("segmentation", [True, False])
@pytest.mark.parametrize("skip_without_region", [True, False])
def test_sampling(segmentation, skip_without_region):
    lungs = on_device() > 0 if segmentation else None
    config = PasteConfig(skip_without_region=skip_without_region)
    params = sample_params(config, (4, 1, 96, 80), region_mask=lungs, device="cuda")
    assert all_on_device(params)


@pytest.mark.usefixtures("guarded")
@all_kinds
def test_pasting(channels, dtype):
    lungs = on_device() > 0
    params = sample_params(ANATPASTE, (4, 1, 96, 80), region_mask=lungs, device="cuda")
    image, mask = paste(on_device(channels, dtype), params, lungs)
    assert all_on_device([image, mask, soft_mask(params, 96, 80)])
    assert image.dtype == dtype


@pytest.mark.usefixtures("guarded")
@all_kinds
def test_augment(channels, dtype):
    transform, images = AnatPasteTransform(), on_device(channels, dtype)
    result = transform.augment(images)
    assert all_on_device([*result, result.anomaly_mask, result.label, result.mask(0.5)])
    assert result.image.dtype == dtype
    assert all_on_device(transform.augment(images, images[:, :1] > 0, params=result.params))


@pytest.mark.usefixtures("guarded")
@pytest.mark.parametrize(
    "settings", [{"p": 0.5, "skip_without_region": True}, {"segmentation": False}, {"blur": False}]
)
def test_augment_with_other_settings(settings):
    assert all_on_device(AnatPasteTransform(**settings).augment(on_device()))


@pytest.mark.usefixtures("guarded")
def test_augment_of_normalized_images():
    assert all_on_device(AnatPasteTransform(mean=[0.5] * 3, std=[0.5] * 3).augment(on_device(3)))


@pytest.mark.usefixtures("guarded")
def test_a_mask_of_another_device_is_an_error():
    with pytest.raises(ValueError, match="region_mask is on cpu and the images on cuda"):
        AnatPasteTransform().augment(on_device(), torch.zeros(4, 1, 96, 80, dtype=torch.bool))


# compiled


@pytest.fixture(params=[False, True], ids=["torch code", "kernels"])
def compiled(request, monkeypatch):
    """Compiles for one graph without a break, and counts the graphs; the backend runs them as they are."""
    if request.param:
        pytest.importorskip("numba", reason="needs Numba: pip install numba")
    monkeypatch.setattr("anatpaste_aug.functional._numba.HAS_NUMBA", request.param)
    torch._dynamo.reset()
    counter = CompileCounter()
    yield lambda function: (torch.compile(function, fullgraph=True, backend=counter), counter)
    torch._dynamo.reset()


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_compiled_segmentation_gives_the_same_masks(compiled, dtype):
    images = smooth_images(4, 64, 64).to(dtype)
    function, _ = compiled(segment_lungs)
    for batch in (images, images.flip(0)):
        assert torch.equal(function(batch), segment_lungs(batch))


@whole_graphs
@pytest.mark.parametrize("channels", [1, 3])
def test_compiled_pasting_gives_the_same_pixels(compiled, channels):
    """Tolerance: 1e-5."""
    images = smooth_images(4, 64, 64, channels) / 255
    result = AnatPasteTransform().augment(images)
    function, _ = compiled(lambda *arguments: paste(*arguments, rotated=False, resized=False))
    image, mask = function(images, result.params, result.region_mask)
    torch.testing.assert_close(image, result.image, rtol=0, atol=1e-5)
    torch.testing.assert_close(mask, result.soft_mask, rtol=0, atol=1e-5)


def test_compiled_sampling_draws_the_same_numbers(compiled):
    lungs = segment_lungs(smooth_images(4, 64, 64))

    def draw(mask):
        return sample_params(ANATPASTE, (mask.shape[0], 1, 64, 64), region_mask=mask)

    function, _ = compiled(draw)
    torch.manual_seed(0)
    expected = draw(lungs)
    torch.manual_seed(0)
    assert all(torch.equal(a, b) for a, b in zip(function(lungs), expected, strict=True))


def plain_call(transform):
    return transform


def augment_call(transform):
    return lambda images: transform.augment(images).image


@pytest.mark.slow
@whole_graphs
@pytest.mark.parametrize("call", [plain_call, augment_call])
def test_a_compiled_transform_is_one_graph_for_all_calls_and_another_for_all_batch_sizes(compiled, call):
    """Tolerance: 1 level, for another order of float operations."""
    eager = call(AnatPasteTransform())
    function, counter = compiled(eager)
    images = smooth_images(6, 64, 64)
    for count, graphs in ((4, 1), (4, 1), (3, 2), (2, 2), (6, 2), (4, 2)):
        torch.manual_seed(count)
        expected = eager(images[:count])
        torch.manual_seed(count)
        difference = function(images[:count]).int() - expected.int()
        assert difference.abs().max() <= 1
        assert counter.frame_count == graphs


@whole_graphs
def test_a_compiled_transform_without_segmentation(compiled):
    function, _ = compiled(AnatPasteTransform(segmentation=False, blur=False, mean=[0.5], std=[0.5]))
    assert function(smooth_images(2, 64, 64) / 127.5 - 1).shape == (2, 1, 64, 64)


# on a CUDA device


needs_cuda = pytest.mark.cuda


@pytest.fixture
def never_waiting():
    torch.cuda.set_sync_debug_mode("error")
    yield
    torch.cuda.set_sync_debug_mode("default")


@needs_cuda
@pytest.mark.parametrize("size", [(64, 64), (256, 256), (301, 257)])
@pytest.mark.parametrize("channels", [1, 3])
def test_masks_on_cuda_are_those_of_the_cpu(size, channels):
    """Tolerance: none for uint8; IoU >= 0.999 for floats, for rounding."""
    images = smooth_images(8, *size, channels)
    mask, converged = segment_lungs(images.cuda(), return_converged=True)
    assert converged.all()
    assert torch.equal(mask.cpu(), segment_lungs(images))


@needs_cuda
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_on_cuda_are_those_of_the_cpu(channels, dtype):
    """Tolerance: 1e-5, and 1 level for uint8."""
    images = smooth_images(8, 128, 128, channels)
    images = images if dtype == torch.uint8 else images / 255
    expected = AnatPasteTransform().augment(images)
    params = type(expected.params)(*(field.cuda() for field in expected.params))
    result = AnatPasteTransform().augment(images.cuda(), expected.region_mask.cuda(), params=params)
    atol = 1 if dtype == torch.uint8 else 1e-5
    torch.testing.assert_close(result.image.cpu().double(), expected.image.double(), rtol=0, atol=atol)
    torch.testing.assert_close(result.soft_mask.cpu(), expected.soft_mask, rtol=0, atol=1e-5)


@needs_cuda
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.bfloat16, torch.float32])
def test_nothing_waits_on_cuda(channels, dtype, request):
    images = (
        smooth_images(4, 128, 128, channels) if dtype == torch.uint8 else torch.rand(4, channels, 128, 128)
    ).cuda()
    images, transform = images.to(dtype), AnatPasteTransform()
    transform.augment(images)  # what a first call sets up may wait
    torch.cuda.synchronize()
    request.getfixturevalue("never_waiting")
    result = transform.augment(images)
    transform.augment(images, params=result.params)
    transform((images, "label"))


@needs_cuda
def test_a_generator_on_cuda_repeats_a_call():
    images = smooth_images(4, 64, 64).cuda()
    first, second = (
        AnatPasteTransform().augment(images, generator=torch.Generator("cuda").manual_seed(3)).image for _ in range(2)
    )
    assert torch.equal(first, second)


@needs_cuda
def test_a_call_can_be_captured_in_a_graph():
    images, transform = smooth_images(4, 64, 64).cuda(), AnatPasteTransform()
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            transform.augment(images)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = transform.augment(images)
    seen = []
    for _ in range(2):
        graph.replay()
        seen.append(result.image.clone())
    assert not torch.equal(seen[0], seen[1])  # new random numbers at every replay
    assert torch.equal(result.region_mask, segment_lungs(images))
