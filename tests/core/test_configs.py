"""The configurations that can be emulated: the paper's, servers, a phone, a laptop."""

import json
from importlib import resources

import pytest

from placement.errors import OptionError, SpecError
from placement.spec.node import config_groups, configs_named, emulated_configs, paper_configs
from placement.spec.ray_start_args import ray_start_args
from profiling.emulation.hardware_table import cpu_of, gpu_of, table


def test_groups_hold_every_configuration_once():
    names = [name for configs in config_groups().values() for name in configs]
    assert sorted(names) == sorted(emulated_configs())
    assert list(paper_configs()) == ["A", "B", "C", "D"] == list(config_groups()["paper"])
    gpus = " ".join(emulated_configs()[name].gpu_name or "" for name in config_groups()["servers"])
    assert all(gpu in gpus for gpu in ("T4", "L4", "A10 ", "A100", "H100"))
    cpus = " ".join(emulated_configs()[name].cpu_name or "" for name in config_groups()["servers"])
    assert "Xeon" in cpus
    assert "EPYC" in cpus


@pytest.mark.parametrize("spec", emulated_configs().values(), ids=lambda spec: spec.config)
def test_each_is_whole_marked_and_in_the_hardware_table(spec):
    assert emulated_configs()[spec.config] is spec
    assert spec.emulated
    assert {"cpu_gflops", "gpu_gflops"} <= set(spec.estimated)
    assert cpu_of(spec).known
    assert gpu_of(spec).known
    figures = (spec.cpu_gflops, spec.gpu_gflops, spec.gpu_memory_gb, spec.ram_gb, spec.cpu_tdp_w, spec.gpu_tdp_w)
    assert all(figure and figure > 0 for figure in figures)
    assert ray_start_args(spec.config, 1, 1, emulated=True)


def test_every_figure_has_its_source():
    more = json.loads(resources.files("placement").joinpath("data/more_configs.json").read_text())
    assert all(len(one["source"]) > 10 for configs in more["groups"].values() for one in configs.values())
    assert all(facts["source"] for part in ("cpus", "gpus") for facts in table()[part].values())


def test_lists_of_names_and_groups():
    assert list(configs_named("laptop, A,servers")) == ["laptop", "A", *config_groups()["servers"]]
    for wrong in ("E", "servers,E", "", " , "):
        with pytest.raises(SpecError, match="valid are paper, servers, phone, laptop"):
            configs_named(wrong)
    with pytest.raises(OptionError, match="server-h100"):
        ray_start_args("server-h200", 1, 1, emulated=True)
