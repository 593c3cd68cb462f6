from __future__ import annotations

import pytest
import torch
from torch import nn

from tsdiff_monitor.diffusion.randomness import drawn_from, not_drawn, seeded


def test_own_draws_are_those_of_the_global_generator() -> None:
    """With the same seed a layer has the very weights that torch's own generator gives it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        usual = nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 2)).state_dict()
        numbers = torch.randn(6)
    generator = seeded(3)
    with drawn_from(generator):
        own = nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 2)).state_dict()
        assert torch.equal(torch.randn(6), numbers)
    assert all(torch.equal(usual[name], own[name]) for name in usual)


def test_dropout_draws_from_the_generator() -> None:
    """Dropout, which takes no generator, uses the block's: the same seed drops the same cells."""
    layer, ones = nn.Dropout(0.5), torch.ones(1000)
    kept = []
    for seed in (1, 1, 2):
        with drawn_from(seeded(seed)):
            kept.append(layer(ones))
    assert torch.equal(kept[0], kept[1])
    assert not torch.equal(kept[0], kept[2])


def test_a_generator_that_is_given_is_used() -> None:
    """A block's generator serves those operations only that name none."""
    outside = seeded(5)
    with drawn_from(seeded(1)):
        drawn = torch.rand(4, generator=outside)
    assert torch.equal(drawn, torch.rand(4, generator=seeded(5)))


def test_nothing_is_drawn_for_weights_that_are_loaded_next() -> None:
    """The block neither draws, nor touches torch's generator; buffers that are no weights are as usual."""
    before = torch.get_rng_state()
    with not_drawn():
        layer = nn.Linear(3, 2)
        constant = torch.arange(3) * 2
        shape = torch.randn(4, 2).shape
    assert torch.equal(torch.get_rng_state(), before)
    assert layer.weight.shape == (2, 3)
    assert constant.tolist() == [0, 2, 4]
    assert shape == (4, 2)


def test_unknown_draws_are_refused() -> None:
    """An operation that would leave a result to chance is an error, not silence."""
    with not_drawn(), pytest.raises(RuntimeError, match="draws numbers that no stored weights replace"):
        torch.rand(3)
    with drawn_from(seeded(0)), pytest.raises(RuntimeError, match="cannot draw from a generator of its own"):
        torch.randperm(3)
