"""SQUID's memories: reading against a transcription to NumPy, and first in, first out."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from anatpaste_aug.detection.models.squid.memory import (
    CodeQueue,
    LearnedMemory,
    RegionMemory,
    from_windows,
    mixed,
    sparse_weights,
    to_windows,
)


def read_by_definition(queries, codes, kept):
    """One query after another: softmax of the dot products, all but the largest set to 0, the sum 1 again."""
    results = []
    for query in queries:
        products = np.array([float(np.dot(query, code)) for code in codes])
        weights = np.exp(products - products.max())
        weights /= weights.sum()
        largest = np.argsort(-weights)[:kept]
        chosen = np.zeros_like(weights)
        chosen[largest] = weights[largest]
        results.append((chosen / chosen.sum()) @ codes)
    return np.stack(results)


@pytest.mark.parametrize("make", [CodeQueue, LearnedMemory])
def test_reading_is_that_of_the_definition(make):
    torch.manual_seed(1)
    memory, queries = make(20, 6, 4), torch.randn(5, 6)
    with torch.no_grad():
        memory.codes.copy_(torch.randn(20, 6))
        found = memory(queries)
    expected = read_by_definition(queries.double().numpy(), memory.codes.detach().double().numpy(), 4)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-6)


def test_the_gradient_is_that_of_the_whole_softmax():
    torch.manual_seed(2)
    similarities, pull = torch.randn(3, 8), torch.randn(3, 8)
    sparse, whole = similarities.clone().requires_grad_(), similarities.clone().requires_grad_()
    weights = sparse_weights(sparse, 3)
    assert ((weights > 1e-6).sum(1) == 3).all()
    torch.testing.assert_close(weights.sum(1), torch.ones(3))
    (weights * pull).sum().backward()
    (whole.softmax(1) * pull).sum().backward()
    torch.testing.assert_close(sparse.grad, whole.grad)


def test_a_queue_replaces_the_oldest_codes():
    queue = CodeQueue(5, 1, 2)
    start = queue.codes.flatten().tolist()
    queue.push(torch.tensor([[10.0], [11.0], [12.0]]))
    assert queue.codes.flatten().tolist() == [10, 11, 12, *start[3:]]
    queue.push(torch.tensor([[13.0], [14.0], [15.0]]))
    assert queue.codes.flatten().tolist() == [15, 11, 12, 13, 14]
    queue.push(torch.arange(20.0, 27.0)[:, None])  # more than it holds: the last ones stay
    assert sorted(queue.codes.flatten().tolist()) == [22, 23, 24, 25, 26]
    restored = CodeQueue(5, 1, 2)
    restored.load_state_dict(queue.state_dict())
    for each in (queue, restored):
        each.push(torch.tensor([[1.0]]))
    assert torch.equal(queue.codes, restored.codes)


def test_a_queue_learns_nothing_and_a_learned_memory_does():
    queries = torch.randn(2, 3, requires_grad=True)
    queue, memory = CodeQueue(6, 3, 2), LearnedMemory(6, 3, 2)
    assert not list(queue.parameters())
    (queue(queries).sum() + memory(queries).sum()).backward()
    assert memory.codes.grad.abs().sum() > 0
    assert queries.grad.abs().sum() > 0


def test_codes_are_pushed_while_a_gradient_still_needs_the_old_ones():
    queries = torch.randn(2, 3, requires_grad=True)
    queue = CodeQueue(6, 3, 2)
    read = queue(queries)
    queue.push(torch.randn(4, 3))
    read.sum().backward()


def test_each_quarter_of_a_map_has_a_memory_of_its_own():
    torch.manual_seed(3)
    block = RegionMemory(7, channels=2, side=4, kept=3, share=0.5).eval()
    x = torch.randn(2, 2, 4, 4)
    found = block(x)
    for i, (row, column) in enumerate([(0, 0), (0, 2), (2, 0), (2, 2)]):
        part = (..., slice(row, row + 2), slice(column, column + 2))
        expected = block.memories[i](x[part].reshape(2, -1)).view(2, 2, 2, 2)
        torch.testing.assert_close(found[part], expected)
    torch.manual_seed(4)
    trained = block.train()(x)
    torch.manual_seed(4)
    chosen = torch.bernoulli(torch.full((2, 1, 4, 4), 0.5)).bool().expand_as(x)
    torch.testing.assert_close(trained, torch.where(chosen, found, x))


def test_windows_are_the_quarters_row_by_row():
    x = torch.arange(2 * 3 * 8 * 8.0).view(2, 3, 8, 8)
    windows = to_windows(x)
    for i, (row, column) in enumerate([(0, 0), (0, 4), (4, 0), (4, 4)]):
        assert torch.equal(windows[4 + i], x[1, :, row : row + 4, column : column + 4])
    assert torch.equal(from_windows(windows), x)
    # As the authors cut them, by unfolding.
    unfolded = F.unfold(x, 4, stride=4).view(2, 3, 16, 4).permute(0, 3, 1, 2).reshape(8, 3, 4, 4)
    assert torch.equal(windows, unfolded)


def test_a_share_of_the_places_passes_through():
    torch.manual_seed(0)
    x, other = torch.ones(4, 3, 50, 50), torch.zeros(4, 3, 50, 50)
    result = mixed(x, other, 0.95)
    assert torch.equal(result[:, 0], result[:, 2])
    assert result.mean().item() == pytest.approx(0.95, abs=0.01)
    assert mixed(x, other, 1.0) is x
