"""Every recipe and every way to blend on a fake accelerator, and on a CUDA device where there is one."""

import pytest
import torch
from helpers.guards import NamedDevices, NoDoubles, all_on_device, on_device, whole_graphs
from helpers.oracles import smooth_images
from torch._dynamo.testing import CompileCounter

from anatpaste_aug import (
    AnatPasteTransform,
    CutPasteTransform,
    FPITransform,
    NSATransform,
    PIITransform,
    one_class_batch,
)
from anatpaste_aug.functional import segment_lungs


def anatpaste(**settings):
    """With a region that costs nothing."""
    return AnatPasteTransform(segmenter=lambda images: images[:, :1] > 40, **settings)


TRANSFORMS = {
    "lungs": AnatPasteTransform,
    "anatpaste": anatpaste,
    "cutpaste": CutPasteTransform,
    "scar": lambda **settings: CutPasteTransform(variant="scar", **settings),
    "union": lambda **settings: CutPasteTransform(variant="union", **settings),
    "fpi": FPITransform,
    "pii": PIITransform,
    "nsa": NSATransform,
    "poisson": lambda **settings: anatpaste(blend="poisson", patches=(1, 3), **{"source": "batch"} | settings),
    "stronger": lambda **settings: anatpaste(blend="poisson_stronger", beyond="source", **settings),
    "mixed": lambda **settings: anatpaste(blend="poisson_mixed", beyond="edge", **settings),
    "source beyond": lambda **settings: anatpaste(beyond="source", **settings),
    "edge beyond": lambda **settings: anatpaste(beyond="edge", resize=(1.0, 0.5, 0.7, 1.3), **settings),
    "rotated shape": lambda **settings: anatpaste(size="area_or_scar", target="intensity", **settings),
}
every_transform = pytest.mark.parametrize("make", TRANSFORMS.values(), ids=TRANSFORMS.keys())
ROTATED = ("scar", "union", "rotated shape")


@pytest.mark.usefixtures("guarded")
@every_transform
@pytest.mark.parametrize(("channels", "dtype"), [(1, torch.uint8), (3, torch.bfloat16)])
def test_augment_and_the_transform_of_plain_tensors(make, channels, dtype):
    transform, images = make(p=0.5), on_device(channels, dtype)
    result = transform.augment(images)
    assert all_on_device([*result, result.anomaly_mask, result.label])
    assert result.image.dtype == dtype
    assert result.target.dtype == torch.float32
    assert all_on_device(transform.augment(images, result.region_mask, params=result.params))
    pasted, label = transform((images, "label"))
    assert all_on_device(pasted)
    assert label == "label"


@pytest.mark.usefixtures("guarded")
@every_transform
def test_augment_of_normalized_images_from_donors(make):
    donors = torch.zeros(3, 3, 96, 80, device="cuda")
    assert all_on_device(make(mean=[0.5] * 3, std=[0.5] * 3, source="donors", donors=donors).augment(on_device(3)))


@pytest.mark.usefixtures("guarded")
@every_transform
def test_every_tensor_is_made_where_the_images_are(make):
    transform, images = make(), on_device()
    with NamedDevices():
        assert all_on_device(transform.augment(images))


@pytest.mark.usefixtures("guarded")
@pytest.mark.parametrize("name", [name for name in TRANSFORMS if name not in (*ROTATED, "nsa", "edge beyond", "lungs")])
def test_no_double_precision(name):
    """Segmentation, rotation and resizing take it from the CPU where a device has none."""
    images = on_device()
    with NoDoubles():
        assert all_on_device(TRANSFORMS[name]().augment(images, images > 0))


@pytest.mark.slow
@pytest.mark.usefixtures("guarded")
def test_a_one_class_batch():
    batch = one_class_batch(on_device(), *(make() for make in TRANSFORMS.values()), region_mask=on_device() > 0)
    assert all_on_device(batch)
    count = 4 * (len(TRANSFORMS) + 1)
    assert batch.images.shape == batch.masks.shape == batch.targets.shape == (count, 1, 96, 80)
    assert batch.labels.shape == (count,)


@pytest.mark.usefixtures("guarded")
def test_a_mask_of_another_device_is_an_error():
    with pytest.raises(ValueError, match="region_mask is on cpu and the images on cuda"):
        AnatPasteTransform().augment(on_device(), torch.zeros(4, 1, 96, 80, dtype=torch.bool))


@pytest.mark.slow
@whole_graphs
@pytest.mark.usefixtures("kernels")
@every_transform
def test_a_compiled_call_is_one_graph_with_the_same_pixels(make):
    """Tolerance: 1 level, for another order of float operations."""
    images, transform = smooth_images(6, 64, 64).clamp_min(30), make()
    uniforms = transform.draw_uniforms(6, generator=torch.Generator().manual_seed(0))
    expected = transform.augment(images, uniforms=uniforms)
    torch._dynamo.reset()
    counter = CompileCounter()
    call = torch.compile(lambda x, u: transform.augment(x, uniforms=u), fullgraph=True, backend=counter)
    result = call(images, uniforms)
    torch._dynamo.reset()
    assert counter.frame_count == 1
    assert (result.image.int() - expected.image.int()).abs().max() <= 1
    torch.testing.assert_close(result.soft_mask, expected.soft_mask, rtol=0, atol=1e-5)


@pytest.mark.slow
@whole_graphs
@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("call", [lambda transform: transform, lambda transform: lambda x: transform.augment(x).image])
def test_a_compiled_transform_is_one_graph_for_all_calls_and_another_for_all_batch_sizes(call):
    """Tolerance: 1 level, for another order of float operations."""
    torch._dynamo.reset()
    eager, counter = call(AnatPasteTransform()), CompileCounter()
    function = torch.compile(eager, fullgraph=True, backend=counter)
    images = smooth_images(6, 64, 64)
    for count, graphs in ((4, 1), (4, 1), (3, 2), (2, 2), (6, 2), (4, 2)):
        torch.manual_seed(count)
        expected = eager(images[:count])
        torch.manual_seed(count)
        difference = function(images[:count]).int() - expected.int()
        assert difference.abs().max() <= 1
        assert counter.frame_count == graphs
    torch._dynamo.reset()


# on a CUDA device


@pytest.mark.cuda
@pytest.mark.parametrize("size", [(64, 64), (256, 256), (301, 257)])
@pytest.mark.parametrize("channels", [1, 3])
def test_masks_on_cuda_are_those_of_the_cpu(size, channels):
    """Tolerance: none."""
    images = smooth_images(8, *size, channels)
    mask, converged = segment_lungs(images.cuda(), return_converged=True)
    assert converged.all()
    assert torch.equal(mask.cpu(), segment_lungs(images))


@pytest.mark.cuda
@every_transform
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_on_cuda_are_those_of_the_cpu(make, channels, dtype):
    """Tolerance: 1 level for uint8; 1e-5 of the range for AnatPaste, 1e-4 on 99.9 % of the pixels for all."""
    images = smooth_images(16, 128, 128, channels).clamp_min(30)
    images = images if dtype == torch.uint8 else images / 255
    transform = make()
    expected = transform.augment(images)
    params = type(expected.params)(*(field.cuda() for field in expected.params))
    region = None if expected.region_mask is None else expected.region_mask.cuda()
    result = transform.augment(images.cuda(), region, params=params)
    strict = make is AnatPasteTransform
    atol = 1 if dtype == torch.uint8 else 1e-5 if strict else 1e-4
    difference = (result.image.cpu().double() - expected.image.double()).abs()
    assert (difference <= atol).double().mean() >= (1 if strict else 0.999)
    torch.testing.assert_close(result.soft_mask.cpu(), expected.soft_mask, rtol=0, atol=1e-5)


@pytest.mark.cuda
@every_transform
def test_nothing_waits_on_cuda(make):
    images, transform = smooth_images(4, 128, 128).cuda(), make(p=0.5)
    one_class_batch(images, transform)  # what a first call sets up may wait
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        result = transform.augment(images)
        transform.augment(images, result.region_mask, params=result.params)
        one_class_batch(images, transform, generator=None)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.cuda
@every_transform
def test_a_call_can_be_captured_in_a_graph(make):
    images, transform = smooth_images(4, 64, 64).clamp_min(30).cuda(), make()
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


@pytest.mark.cuda
def test_a_generator_on_cuda_repeats_a_call():
    images = smooth_images(4, 64, 64).cuda()
    first, second = (
        AnatPasteTransform().augment(images, generator=torch.Generator("cuda").manual_seed(3)).image for _ in range(2)
    )
    assert torch.equal(first, second)
