"""describe.of_function: a function of the user's own is traced as it stands, and nothing of the user's is touched."""

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from placement import describe
from placement.errors import SpecError

IMAGES = (4, 3, 64, 64)


def network() -> nn.Module:
    return torchvision.models.resnet18(num_classes=10)


def train_step(images, labels, device="cpu"):
    model = network().to(device)
    optimiser = torch.optim.Adam(model.parameters())
    loss = nn.functional.cross_entropy(model(images.to(device)), labels.to(device))
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.item()


def test_a_training_step_costs_what_of_module_says_of_its_network():
    labels = torch.zeros(4, dtype=torch.int64)
    spec = describe.of_function(train_step, (IMAGES, labels, "cuda:0"))
    module = describe.of_module(network, IMAGES, train=True)
    assert spec.flops == pytest.approx(module.flops, rel=0.001)
    assert spec.parameters == module.parameters
    assert (spec.kind, spec.framework, spec.batch_size) == ("train", "torch", 4)
    assert spec.input_bytes == module.input_bytes + 4 * 8
    assert module.kernels <= spec.kernels <= 2 * module.kernels  # it fills buffers too, as it builds its network
    assert spec.memory_bytes == pytest.approx(module.memory_bytes, rel=0.2)
    assert sum(operation.flops for operation in spec.operations) == spec.flops


def test_a_module_of_the_closure_is_traced_and_left_as_it_was():
    model = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 2))
    before = {name: value.clone() for name, value in model.state_dict().items()}

    def step(x):
        model(x).square().mean().backward()

    spec = describe.of_function(step, (32, 8))
    assert spec.flops == 2 * 32 * (8 * 16 + 16 * 2) * 3 - 2 * 32 * 8 * 16  # no gradient of the input
    assert spec.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert all(parameter.grad is None and parameter.device.type == "cpu" for parameter in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_an_optimiser_launches_its_kernels_for_many_parameters_at_once():
    model = nn.Sequential(*(nn.Linear(8, 8) for _ in range(30)))
    optimiser = torch.optim.SGD(model.parameters(), momentum=0.9)

    def forward_backward(x):
        model(x).sum().backward()

    def step(x):
        forward_backward(x)
        optimiser.step()

    plain, full = describe.of_function(forward_backward, (4, 8)), describe.of_function(step, (4, 8))
    assert plain.kernels < full.kernels <= plain.kernels + 10
    assert full.memory_bytes > plain.memory_bytes


def test_inference_without_gradients():
    model = network().eval()

    @torch.no_grad()
    def classify(images: np.ndarray, top: int = 5):
        return model(images).softmax(1).topk(top).indices.cpu()

    spec = describe.of_function(classify, {"images": np.zeros(IMAGES, np.float32), "top": 3}, steps=7)
    assert spec.flops == describe.of_module(network, IMAGES).flops
    assert (spec.kind, spec.steps) == ("infer", 7)
    assert spec.memory_bytes == pytest.approx(describe.of_module(network, IMAGES).memory_bytes, rel=0.05)


def test_work_without_any_module():
    spec = describe.of_function(lambda a, b: torch.linalg.vector_norm(a @ b), ((16, 32), (32, 8)))
    assert spec.flops == 2 * 16 * 32 * 8
    assert spec.parameters == 0


def test_traces_are_kept_by_function_and_arguments():
    calls = []

    def counted(x, scale=1.0):
        calls.append(scale)
        return (x @ x) * (scale[0] if isinstance(scale, list) else scale)

    first = describe.of_function(counted, (8, 8))
    assert describe.of_function(counted, torch.zeros(8, 8)) is first
    describe.of_function(counted, {"x": (8, 8), "scale": 2.0})
    describe.of_function(counted, ((8, 8), [3.0]))  # a list is no key
    assert calls == [1.0, 2.0, [3.0]]


def branches(x):
    return x if x.sum() > 0 else -x


class ObjectRef:
    pass


@pytest.mark.parametrize(
    ("fn", "example", "words"),
    [
        (branches, (3, 3), "reads a tensor's values"),
        (lambda x: x.numpy(), (3, 3), "reads a tensor's values"),
        (torch.relu, (ObjectRef(),), "never fetches one"),
        (3, (3, 3), "not callable"),
    ],
)
def test_what_cannot_be_traced_is_refused_with_the_remedy(fn, example, words):
    with pytest.raises(SpecError, match=words):
        describe.of_function(fn, example)


def test_what_the_function_raises_is_its_own():
    def wrong(x):
        raise ValueError("the user's")

    with pytest.raises(ValueError, match="the user's"):
        describe.of_function(wrong, (3, 3))
