"""Dockerfile and recipe front ends, the build graph, solver and cache. Runs commands through StepRunner alone."""
