"""The probe of a machine: what is missing, hangs or dies in it leaves the rest. Kernels are replaced, NVML is faked."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from placement.hardware import kernels, probe
from placement.hardware.probe import MachineShare, granted_devices, parts, run_parts, spec_of
from placement.spec.node import NodeSpec

GB = 10**9


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels that take no time."""
    monkeypatch.setattr(kernels, "numpy_kernels", lambda: {"matmul_large": 0.5})
    for name in ("torch_kernels", "tree_kernels", "cuda_kernels"):
        monkeypatch.setattr(kernels, name, lambda *_: {})


def driver(monkeypatch: pytest.MonkeyPatch, *cards: dict[str, Any]) -> None:
    fake = SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetCount=lambda: len(cards),
        nvmlDeviceGetHandleByIndex=lambda index: cards[index],
        nvmlDeviceGetUUID=lambda card: card["uuid"],
        nvmlDeviceGetName=lambda card: card["name"],
        nvmlDeviceGetMemoryInfo=lambda card: SimpleNamespace(total=card["gb"] * GB),
    )
    monkeypatch.setitem(sys.modules, "pynvml", fake)


def measured(share: MachineShare | None = None) -> NodeSpec:
    """The spec by the parts of the probe, measured in this process without the kept file."""
    share = share or MachineShare.of_process()
    return spec_of(dict(parts(share)), None, share)


DISPLAY = {"uuid": "GPU-c", "name": "GeForce GT 710", "gb": 2}
COMPUTE = {"uuid": "GPU-d", "name": "RTX 4090", "gb": 24}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("visible", ["1", "GPU-d", "1,0"])
def test_a_node_is_described_by_the_gpus_that_ray_may_grant(monkeypatch: pytest.MonkeyPatch, visible: str) -> None:
    driver(monkeypatch, DISPLAY, COMPUTE)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    spec = measured()
    assert (spec.gpu_name, spec.gpu_memory_gb, spec.gpus) == ("RTX 4090", 24.0, len(visible.split(",")))
    assert "rtx-4090" in spec.config


@pytest.mark.usefixtures("quick")
def test_a_node_has_the_cpus_and_gpus_of_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    driver(monkeypatch, COMPUTE, COMPUTE | {"uuid": "GPU-e"})
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    part = measured(MachineShare(16.0, 1.0, granted_devices(None, 1.0), memory_gb=32.0))
    whole = measured(MachineShare(64.0, 2.0, None))
    assert (part.cpus, part.gpus, part.ram_gb) == (16, 1, 32.0)
    assert (whole.cpus, whole.gpus) == (64, 2)
    assert part.cpu_tdp_w == pytest.approx((whole.cpu_tdp_w or 0.0) / 4)
    none = measured(MachineShare(16.0, 0.0, granted_devices(None, 0.0)))
    assert (none.gpus, none.gpu_name, none.gpu_memory_gb, none.gpu_tdp_w) == (0, None, None, None)


@pytest.mark.parametrize(
    ("visible", "gpus", "granted"),
    [(None, 2.0, "0,1"), (None, 0.0, ""), ("1", 1.0, "1"), ("3,GPU-a", 1.0, "3"), ("", 0.0, ""), ("2,1", 1.5, "2,1")],
)
def test_ray_grants_the_first_gpus_that_a_node_sees(visible: str | None, gpus: float, granted: str) -> None:
    assert granted_devices(visible, gpus) == granted


@pytest.mark.parametrize(
    ("visible", "count"), [(None, 2), ("1", 1), ("GPU-d", 1), ("", 0), ("MIG-1,MIG-2", 2), ("NoDevFiles", 0), ("-1", 0)]
)
def test_the_gpus_that_a_node_sees_are_counted(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, count: int
) -> None:
    driver(monkeypatch, DISPLAY, COMPUTE)
    sys.modules["pynvml"].nvmlDeviceGetMigMode = lambda card: (1, 1)  # type: ignore[attr-defined]
    assert probe.visible_gpu_count(visible) == count


def test_threads_are_those_of_the_share_and_no_more_than_the_machine_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert [MachineShare(cpus).threads for cpus in (None, 0.0, 0.5, 3.0, 99.0)] == [8, 1, 1, 3, 8]
    assert MachineShare(99.0).whole_cpus == 99


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("part", "name"),
    [("torch_kernels", "torch on the CPU"), ("tree_kernels", "XGBoost on the CPU"), ("cuda_kernels", "gpu kernels")],
)
def test_a_library_that_fails_leaves_the_other_figures(monkeypatch: pytest.MonkeyPatch, part: str, name: str) -> None:
    def fail(*_: Any) -> Any:
        raise ImportError("libcudnn.so.9: cannot open shared object file\nand more")

    driver(monkeypatch, COMPUTE)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(kernels, part, fail)
    spec = measured()
    assert spec.not_measured == (f"{name}: ImportError: libcudnn.so.9: cannot open shared object file",)
    assert spec.cpu_gflops == pytest.approx(2 * 2048**3 / 0.5 / 1e9)
    assert (spec.gpus, spec.gpu_name) == (1, "RTX 4090")


def test_a_driver_that_fails_leaves_the_gpus_that_ray_may_grant() -> None:
    found = {"cpu kernels": {"cpu_matmul_large": 0.5}, "gpus": {"fault": "OSError: driver"}}
    spec = spec_of(found, None, MachineShare(4.0, 2.0))
    assert (spec.cpus, spec.gpus, spec.gpu_name) == (4, 2, None)
    assert spec.not_measured[0] == "gpus: OSError: driver"


def script(tmp_path: Path, text: str) -> tuple[str, ...]:
    path = tmp_path / "played.py"
    path.write_text("import json, os, sys, time\nprint('a word of a library')\n"
                    "print(json.dumps(['cpu kernels', {'cpu_matmul_large': 0.5}]), flush=True)\n" + text)  # fmt: skip
    return sys.executable, str(path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("os.abort()", "the probe's process ended with -6"),
        ("sys.exit('out of memory')", "the probe's process ended with 1 out of memory"),
        ('print(\'["gpus", {"gp\')', "the probe gave no answer"),
    ],
)
def test_what_was_measured_before_a_probe_dies_holds(tmp_path: Path, text: str, reason: str) -> None:
    share = MachineShare(2.0, 1.0, "0")
    only_the_cpu_was_measured(spec_of(*run_parts(share, script(tmp_path, text), 300.0), share), reason)


def test_what_was_measured_before_a_probe_hangs_holds(tmp_path: Path) -> None:
    """Within whichever time the process has come so far: a busy machine may take seconds to start it."""
    share, hangs = MachineShare(2.0, 1.0, "0"), script(tmp_path, "time.sleep(600)")
    for timeout_s in (1, 4, 16, 64, 256):
        spec = spec_of(*run_parts(share, hangs, timeout_s), share)
        if spec.cpu_gflops is not None:
            break
    only_the_cpu_was_measured(spec, f"the probe did not end within {timeout_s} s")


def only_the_cpu_was_measured(spec: NodeSpec, reason: str) -> None:
    assert spec.cpu_gflops is not None
    assert (spec.cpus, spec.gpus) == (2, 1)
    assert len(spec.not_measured) == 1
    assert spec.not_measured[0].endswith(reason)
    assert spec.not_measured[0].startswith("gpus, torch on the CPU")


def test_the_probes_process_sees_the_gpus_and_the_threads_of_the_share(tmp_path: Path) -> None:
    text = (
        "print(json.dumps(['gpus', {'seen': [os.environ.get('CUDA_VISIBLE_DEVICES'), os.environ['OMP_NUM_THREADS']]}]))"
    )
    for visible in ("1", "", None):
        found, ended = run_parts(MachineShare(1.0, 1.0, visible), script(tmp_path, text), 60.0)
        assert ended is None
        assert found["gpus"]["seen"] == [visible, "1"]


@pytest.mark.usefixtures("quick")
def test_only_a_whole_probe_is_kept_on_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(probe.tempfile, "gettempdir", lambda: str(tmp_path))
    answers = [({"cpu kernels": {"cpu_matmul_large": 0.5}}, "it died")]
    answers += [({name: {"cpu_matmul_large": 0.25} for name in probe.PARTS}, None)]
    monkeypatch.setattr(probe, "run_parts", lambda share: answers.pop(0))
    share = MachineShare(2.0, 0.0, "")
    assert probe.probe("lab", share).not_measured
    assert not list(tmp_path.iterdir())
    second = probe.probe("lab", share)
    assert not second.not_measured
    assert probe.probe("lab", share) == second  # no third answer is there to give
    with pytest.raises(IndexError):
        probe.probe("lab", MachineShare(4.0, 0.0, ""))  # another share is timed anew
