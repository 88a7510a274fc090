"""Where a build stands between two steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from stackfile import digest as digests
from stackfile.images import documents
from stackfile.images.layers import Layer
from stackfile.model.image import HistoryEntry, ImageConfig, ImageRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Layers so far (lowest first) and the configuration; `arguments` exist while the build runs only."""

    layers: tuple[Layer, ...] = ()
    config: ImageConfig = ImageConfig()
    history: tuple[HistoryEntry, ...] = ()
    arguments: Mapping[str, str] = field(default_factory=dict)
    parent: str = ""
    """Id of the base image."""
    own_command: bool = False
    """Whether a step of this image (not of its base) set the command."""

    @property
    def chain_id(self) -> str:
        """Chain id of the topmost layer, "" when there is none."""
        return self.layers[-1].chain_id if self.layers else ""

    def on(self, layer: Layer | None) -> State:
        """With one more layer (or none)."""
        return replace(self, layers=(*self.layers, layer)) if layer else self

    def configured(self, **changes: object) -> State:
        """With changes of the configuration."""
        return replace(self, config=replace(self.config, **changes))  # type: ignore[arg-type]

    def recorded(self, text: str, *, empty: bool) -> State:
        """With one more line of history."""
        return replace(self, history=(*self.history, HistoryEntry(created_by=text, empty_layer=empty)))


def of_image(record: ImageRecord, sizes: Mapping[str, int]) -> State:
    """The state that continues an image; `sizes` are the bytes of its layers by diff id."""
    chain = documents.chain_ids(record.layers)
    layers = tuple(
        Layer(diff_id=diff_id, chain_id=chain_id, size=sizes[diff_id])
        for diff_id, chain_id in zip(record.layers, chain, strict=True)
    )
    return State(layers=layers, config=record.config, history=record.history, parent=record.id)


def identity(state: State) -> str:
    """Id that the image has, or would have."""
    diff_ids = [layer.diff_id for layer in state.layers]
    return digests.sha256(documents.encode_config(state.config, diff_ids, state.history))


def environment(state: State) -> dict[str, str]:
    """The environment of a command that is run while building: arguments first, the image's variables win."""
    pairs = (entry.partition("=") for entry in state.config.environment)
    return {**state.arguments, **{name: value for name, _, value in pairs}}
