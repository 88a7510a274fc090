"""Observe, diff, plan, apply, watch. Knows Provider alone, never an engine."""
