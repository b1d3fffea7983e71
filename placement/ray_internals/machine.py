"""Ray's counts of this machine's CPUs and memory, which respect a container's limits."""

from __future__ import annotations

import os


def detected_cpus() -> int:
    """The CPUs that `ray start` would count here: a container's quota and cpuset hold."""
    try:
        from ray._private.utils import get_num_cpus
    except ImportError:
        return len(os.sched_getaffinity(0))
    return max(1, int(get_num_cpus(override_docker_cpu_warning=True)))


def system_memory_bytes() -> int:
    """The memory of this machine, or of this container where that has less."""
    try:
        from ray._common.utils import get_system_memory
    except ImportError:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return int(get_system_memory())
