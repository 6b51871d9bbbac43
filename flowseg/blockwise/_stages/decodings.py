"""The ways from outputs to objects in a run: of passes that sizes are measured in, and of the last one."""

from __future__ import annotations

import string
from dataclasses import replace

from flowseg._segmenters.codecs.boundary_codec import BoundaryCodec, expansion_distances
from flowseg._segmenters.codecs.flow_codec import FlowCodec
from flowseg.blockwise._objects.boundary_decoder import BoundaryDecoder
from flowseg.blockwise._objects.decoder import BlockDecoder
from flowseg.blockwise._objects.flow_decoder import FlowDecoder
from flowseg.blockwise._stages.decode import Decoding
from flowseg.blockwise._stages.run_data import RunData


def _final_decoder(data: RunData) -> BlockDecoder:
    codec, learned = data.pipeline.settings.codec, data.pipeline.fitted.decoding
    if isinstance(codec, FlowCodec):
        in_effect = replace(learned, thresholds=codec.thresholds(learned))
        return FlowDecoder(data.grid, in_effect, data.pixel, _is_scaled(data, data.last_pass()), describes_all=True)
    return _boundary_decoder(data, data.last_pass())


def _is_scaled(data: RunData, number: int | None) -> bool:
    return number is not None and data.is_scaled(number)


def _boundary_decoder(data: RunData, number: int | None) -> BlockDecoder:
    codec = data.pipeline.settings.codec
    if not isinstance(codec, BoundaryCodec) or number is None:
        raise TypeError(f"there is no decoder by blocks for {type(codec).__name__}.")
    distances = expansion_distances(data.factors(number))
    # Along the one plane of an image nothing is expanded, whatever the distance.
    along_grid = (*distances[:1] * (3 - len(distances)), *distances)
    return BoundaryDecoder(data.grid, along_grid, data.pixel, codec.min_size)


FINAL = Decoding("", _final_decoder, RunData.last_pass)


def decoding_for_size(number: int) -> Decoding:
    """Return the decoding of a pass that sizes are measured in."""

    def find_pass(data: RunData) -> int | None:
        return None if data.size_of_pass(number) is None else number

    def decoder(data: RunData) -> BlockDecoder:
        codec = data.pipeline.settings.codec
        if isinstance(codec, FlowCodec):
            return FlowDecoder(data.grid, codec.decoding_for_size(), data.pixel, _is_scaled(data, number))
        return _boundary_decoder(data, number)

    return Decoding(f"-{string.ascii_lowercase[number]}", decoder, find_pass)
