"""Seccomp: Docker's default profile as data, and its compilation to classic BPF."""

from __future__ import annotations

from stackfile.runtime.seccomp.program import default_program

__all__ = ["default_program"]
