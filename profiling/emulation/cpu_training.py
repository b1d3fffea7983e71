"""Training steps timed on one core of this machine, since no published measurement has training on a CPU.

    python -m profiling.emulation.cpu_training      writes profiling/data/cpu_training.json (about 3 minutes, one core)

CPU time and not wall time is kept, so that other work on the machine disturbs little; throughput and memory bandwidth
of the same core are timed beside it, so that the ratio is what is learnt.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

MEASURED = Path(__file__).parents[1] / "data" / "cpu_training.json"
IMAGE_MODELS = {
    "resnet18": 8, "resnet50": 4, "mobilenet_v2": 4, "mobilenet_v3_small": 8, "mobilenet_v3_large": 4,
    "efficientnet_b0": 4, "shufflenet_v2_x1_0": 8, "mnasnet1_0": 4, "resnext50_32x4d": 2, "densenet121": 4,
    "convnext_tiny": 2, "squeezenet1_1": 8, "vit_b_16": 2, "swin_t": 2,
}  # fmt: skip
"""torchvision's, with the batch they are timed at."""


def cpu_seconds(step: Callable[[], object], repeats: int = 2) -> float:
    """Least CPU time of `repeats` runs after one warm-up run, s."""
    step()
    times = []
    for _ in range(repeats):
        begun = time.process_time()
        step()
        times.append(time.process_time() - begun)
    return min(times)


def core() -> dict[str, float]:
    """Sustained rates of this core: FLOP/s of a matrix product, B/s of a copy (read and written)."""
    import torch

    square, source = torch.randn(1500, 1500), torch.randn(30_000_000)
    target = torch.empty_like(source)
    return {
        "flops_s": 2 * 1500**3 / cpu_seconds(lambda: square @ square, 6),
        "bytes_s": 2 * source.nbytes / cpu_seconds(lambda: target.copy_(source), 6),
    }


def training_seconds(factory: Callable[[], Any], inputs: Any) -> float:
    """One training step: forward, backward, Adam."""
    import torch

    model = factory().train()
    optimizer = torch.optim.Adam(model.parameters())

    def step() -> None:
        optimizer.zero_grad()
        output = model(inputs)
        output = output if isinstance(output, torch.Tensor) else output.logits
        output.sum().backward()
        optimizer.step()

    return cpu_seconds(step)


def networks() -> dict[str, tuple[Callable[[], Any], Any]]:
    """Name -> factory and input."""
    import torch
    import torchvision
    import transformers

    def bert(layers: int) -> Any:
        return transformers.BertForSequenceClassification(transformers.BertConfig(num_hidden_layers=layers))

    tokens = torch.randint(0, 1000, (8, 128))
    images = {
        name: (partial(torchvision.models.get_model, name), torch.randn(batch, 3, 224, 224))
        for name, batch in IMAGE_MODELS.items()
    }
    return images | {"bert_4_layers": (partial(bert, 4), tokens)}


def main() -> None:
    """Times all networks and writes the file."""
    import torch

    from placement.describe import of_module

    torch.set_num_threads(1)
    rows = []
    for name, (factory, inputs) in networks().items():
        spec, seconds = of_module(factory, inputs, train=True), training_seconds(factory, inputs)
        rows.append({"network": name, "seconds": seconds, "operations": spec.operations, **core()})
        share = (spec.flops or 0) / seconds / rows[-1]["flops_s"]
        print(f"{name:20} {seconds * 1e3:8.0f} ms, {share:.2f} of a matrix product's rate", flush=True)
    made = {
        "what": "one training step (forward, backward, Adam), FP32, eager, one core, CPU time",
        "machine": f"unnamed Intel Xeon virtual machine, {platform.machine()}, torch {torch.__version__}",
        "rows": rows,
    }
    MEASURED.write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    main()
