"""SQUID's networks: sizes worked out by hand from the authors' layers, and the inpainting block by its definition."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F

from anatpaste_aug.detection.models.squid.config import SquidConfig
from anatpaste_aug.detection.models.squid.inpainting import InpaintingBlock, neighbors, window_numbers
from anatpaste_aug.detection.models.squid.networks import Discriminator, Generator, SquidNet

TINY = SquidConfig(image_size=32, width=8, slots=6, kept=2)


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def block(inputs, outputs):
    """Three 3×3 convolutions with biases, each with two numbers per channel of BatchNorm."""
    return 9 * inputs * outputs + 2 * 9 * outputs * outputs + 3 * outputs + 3 * 2 * outputs


def test_parameters_at_the_published_size():
    generator = Generator(SquidConfig())
    assert generator.levels == 4
    assert count(generator.stem) == block(1, 32)
    assert count(generator.downs) == block(32, 64) + block(64, 128) + block(128, 256) + block(256, 512)
    length = 128 * 4 * 4
    attention = 4 * (length * length + length)  # of query, key and value, and of the output
    forward = length * 512 + 512 + 512 * length + length
    squeeze, expand = 512 * 128 + 2 * 128, (128 + 3) * 512 + 512 + 2 * 512
    assert count(generator.inpainting) == squeeze + attention + forward + 2 * 2 * length + expand
    assert [queue.codes.shape for queue in generator.inpainting.queues] == [(200, 2048)] * 4
    ups = block(512 + 256, 256) + block(256 + 128, 128) + block(128, 64) + block(64, 32) + 32 + 1
    memories = 4 * 200 * 256 * 4 * 4 + 4 * 200 * 128 * 8 * 8
    assert count(generator.teacher) == ups
    assert count(generator.student) == ups + memories
    convolutions = 25 * (1 * 16 + 16 * 32 + 32 * 64 + 64 * 128 + 128 * 128) + (16 + 32 + 64 + 128 + 128)
    assert count(Discriminator(128)) == convolutions + 2 * (32 + 64 + 128 + 128) + 128 * 4 * 4 + 1


@pytest.mark.parametrize(("size", "widest", "length"), [(32, 32, 128), (64, 64, 256), (128, 128, 512), (256, 128, 512)])
def test_blocks_are_added_with_the_size(size, widest, length):
    net = SquidNet(dataclasses.replace(TINY, image_size=size)).eval()
    images = torch.rand(2, 1, size, size)
    with torch.no_grad():
        codes, skips = net.generator.encode(images)
        student, teacher = net.generator(images)
        errors = net.errors(images)
    assert codes.shape == (8, widest, 4, 4)
    assert net.generator.inpainting.queues[0].codes.shape == (6, length)
    assert [skip[0, 0].numel() * len(skip) for skip in skips] == [8 * 8 * 8, 8 * 16 * 16]
    for decoded in (student, teacher):
        assert decoded.image.shape == images.shape
        assert 0 < decoded.image.min() < decoded.image.max() < 1
        assert len(decoded.features) == net.generator.levels
        assert decoded.features[-1].shape == (2, 8, size, size)
    assert errors.shape == (2,)


def test_the_score_is_the_discriminator_s_of_the_student():
    net = SquidNet(TINY).eval()
    images = torch.rand(3, 1, 32, 32)
    with torch.no_grad():
        student, _ = net.generator(images)
        torch.testing.assert_close(net.reconstruct(images), student.image)
        torch.testing.assert_close(net.errors(images), -net.discriminator(student.image))


def test_no_gradient_goes_from_the_teacher_to_the_encoder():
    generator = Generator(TINY)
    _, teacher = generator(torch.rand(2, 1, 32, 32))
    teacher.image.sum().backward()
    assert all(value.grad is None for value in generator.downs.parameters())
    assert all(value.grad is None for value in generator.student.parameters())
    assert all(value.grad is not None for value in generator.teacher.parameters())


def test_neighbors_are_the_eight_places_around_a_window():
    """As the authors find them, by unfolding the zero-padded grid."""
    codes = torch.randn(3, 4, 5)
    grid = codes.view(3, 2, 2, 5).permute(0, 3, 1, 2)
    around = F.unfold(grid, 3, padding=1).view(3, 5, 9, 4).permute(0, 3, 2, 1)
    assert torch.equal(neighbors(codes), around[:, :, [0, 1, 2, 3, 5, 6, 7, 8]])


def test_windows_are_numbered_in_binary_digits():
    numbers = window_numbers(torch.zeros(8, 6, 2, 2))
    assert numbers.shape == (8, 3, 2, 2)
    assert numbers[:, :, 1, 0].tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1]] * 2


def test_the_inpainting_block_is_that_of_the_definition():
    torch.manual_seed(0)
    own = InpaintingBlock(8, slots=9, kept=3, share=0.95).eval()
    x = torch.randn(8, 8, 4, 4)
    with torch.no_grad():
        codes = own.squeeze(x).reshape(2, 4, 32)
        read = torch.stack([own.queues[i](codes[:, i]) for i in range(4)], dim=1)
        padded = torch.zeros(2, 4, 4, 32)
        padded[:, 1:3, 1:3] = read.view(2, 2, 2, 32)
        rows = []
        for image in range(2):
            for window in range(4):
                row, column = divmod(window, 2)
                around = padded[image, row : row + 3, column : column + 3].reshape(9, 32)
                around = torch.cat([around[:4], around[5:]])[:, None]  # places × 1 × features, as torch's default
                own.attention.batch_first = False
                query = codes[image, window][None, None]
                attended = own.attention(query, around, around)[0][0, 0]
                own.attention.batch_first = True
                y = (F.layer_norm(attended, (32,)) + read[image, window]).clamp(min=0)
                hidden = (own.feed_forward[0](y)).clamp(min=0)
                y = (F.layer_norm(own.feed_forward[2](hidden), (32,)) + y).clamp(min=0)
                digits = torch.tensor([0.0, window // 2, window % 2])[:, None, None].expand(3, 4, 4)
                rows.append(own.expand(torch.cat([y.view(2, 4, 4), digits])[None])[0])
        torch.testing.assert_close(own(x), torch.stack(rows), rtol=1e-4, atol=1e-5)


def test_the_queues_take_the_codes_that_were_seen_last():
    own = InpaintingBlock(8, slots=9, kept=3, share=1.0)
    before = [queue.codes.clone() for queue in own.queues]
    own(torch.randn(8, 8, 4, 4))
    own(torch.randn(8, 8, 4, 4))
    assert all(torch.equal(queue.codes, codes) for queue, codes in zip(own.queues, before, strict=True))
    seen = own.seen
    own.remember()
    for i, queue in enumerate(own.queues):
        assert torch.equal(queue.codes[:2], seen[:, i])
        assert torch.equal(queue.codes[2:], before[i][2:])
    own.remember()
    assert all(queue.position == 2 for queue in own.queues)
