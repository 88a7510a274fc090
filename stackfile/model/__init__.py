"""The nouns: frozen dataclasses, without behaviour beyond derivation.

What belongs here: what a stack file means (`stack`), what an engine runs (`container`, `image`, `network`), what a
plan says (`plan`), what exists (`observed`), what happened (`event`). No input or output, no kernel, no clock.
"""
