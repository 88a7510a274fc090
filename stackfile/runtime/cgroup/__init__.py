"""Cgroups of containers: v1 (a file per controller) and v2 behind one interface.

Cgroups(parent).create(identity, resources, devices) → CgroupHandle
"""

from __future__ import annotations

from stackfile.runtime.cgroup.manager import Cgroups
from stackfile.runtime.cgroup.types import CgroupStats, DeviceRule
from stackfile.runtime.instructions import CgroupHandle

__all__ = ["CgroupHandle", "CgroupStats", "Cgroups", "DeviceRule"]
