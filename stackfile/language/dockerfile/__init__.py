"""Dockerfiles: text → stages of instructions → the steps that recipes have too (Dockerfile reference).

`source` cuts the text into instructions, `words` substitutes variables, `stages` says what belongs to which stage and
which of them a target needs, `lower` makes steps. Pure: what the base image or the cache say is asked for elsewhere.
"""

from __future__ import annotations

from stackfile.language.dockerfile.source import Instruction
from stackfile.language.dockerfile.stages import Dockerfile, Plan, Stage, StagePlan, parse, plan

__all__ = ["Dockerfile", "Instruction", "Plan", "Stage", "StagePlan", "parse", "plan"]
