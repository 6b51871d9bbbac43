"""The options of ``flowseg train``, in groups, and how they become parameters of a segmenter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from flowseg._checks import AUTO
from flowseg.cli._shared.options import NORMALIZE_HELP, complete_model

# Groups of options.
NETWORK, TRAINING, VALIDATION, DECODING = "Network", "Training", "Validation", "From outputs to masks"

# The word that switches a threshold off.
NONE = "none"

# Words that options take in place of a number.
WORDS = {
    "learning_rate": (AUTO,),
    "cellprob_threshold": (AUTO,),
    "flow_threshold": (AUTO, NONE),
    "min_size": (AUTO,),
    "score_threshold": (AUTO, NONE),
}

# Options that have other names than the parameters that they give.
OTHER_NAMES = {"random_state": "seed", "estimate_diameters": "estimate", "test_time_augmentation": "tta"}

ValidationImages = Annotated[
    str | None,
    typer.Option(
        help="Images to choose weights and thresholds on.  [default: some of IMAGES]", rich_help_panel=VALIDATION
    ),
]
ValidationMasks = Annotated[
    str | None, typer.Option(help="Masks of the validation images.", rich_help_panel=VALIDATION)
]
ValidationFraction = Annotated[
    float | None,
    typer.Option(help="Share of IMAGES to hold out for validation.  [default: 0.1]", rich_help_panel=VALIDATION),
]
Patience = Annotated[
    int | None,
    typer.Option(
        help="Stop after so many epochs without a lower validation loss.  [default: train all]",
        rich_help_panel=VALIDATION,
    ),
]
Normalize = Annotated[str | None, typer.Option(help=NORMALIZE_HELP, rich_help_panel=TRAINING)]
Start = Annotated[
    str | None,
    typer.Option(
        "--from",
        help="Train this model further: a model file, or a pretrained one (nuclei). Options that are not given are "
        "as the model has them.",
        autocompletion=complete_model,
        rich_help_panel=NETWORK,
    ),
]
Boundary = Annotated[
    bool,
    typer.Option("--boundary", help="Train the three-class baseline instead of flows.", rich_help_panel=NETWORK),
]
Network = Annotated[str | None, typer.Option(help="unet or resunet.  [default: unet]", rich_help_panel=NETWORK)]
Filters = Annotated[
    str | None,
    typer.Option(help="Filters per level, finest first.  [default: 16,32,64,128,256]", rich_help_panel=NETWORK),
]
Diameter = Annotated[
    float | None,
    typer.Option(
        help="Working diameter in pixels that objects are scaled to.  [default: their own, from 24 to 40]",
        rich_help_panel=NETWORK,
    ),
]
Epochs = Annotated[
    int, typer.Option(help="Epochs; one of 50 steps takes 10 to 40 s on two cores.", rich_help_panel=TRAINING)
]
StepsPerEpoch = Annotated[
    int | None, typer.Option(help="Training steps in an epoch.  [default: 50]", rich_help_panel=TRAINING)
]
BatchSize = Annotated[int | None, typer.Option(help="Crops in a step.  [default: 8]", rich_help_panel=TRAINING)]
CropSize = Annotated[
    int | None, typer.Option(help="Side of the crops in pixels.  [default: 128]", rich_help_panel=TRAINING)
]
LearningRate = Annotated[
    str,
    typer.Option(help="Peak learning rate; auto is 0.001.", rich_help_panel=TRAINING),
]
Augment = Annotated[
    bool | None,
    typer.Option(
        "--augment/--no-augment",
        help="Rotate, flip and scale crops and change their light at random.  [default: augment]",
        rich_help_panel=TRAINING,
    ),
]
Seed = Annotated[
    int,
    typer.Option(
        "--seed", help="Seed: the same one gives the same model on the same machine.", rich_help_panel=TRAINING
    ),
]
CheckpointFile = Annotated[
    Path | None,
    typer.Option(
        "--checkpoint",
        help="File for the state after every epoch; a training that it holds goes on.",
        rich_help_panel=TRAINING,
    ),
]
CellprobThreshold = Annotated[
    str | None,
    typer.Option(
        help="Pixels with a larger logit are foreground.  [default: auto, chosen on the validation images]",
        rich_help_panel=DECODING,
    ),
]
FlowThreshold = Annotated[
    str | None,
    typer.Option(
        help="Objects with a larger flow error are dropped; 'none' keeps all.  [default: auto]",
        rich_help_panel=DECODING,
    ),
]
MinSize = Annotated[
    str | None,
    typer.Option(help="Objects of fewer pixels are dropped.  [default: auto]", rich_help_panel=DECODING),
]
ScoreThreshold = Annotated[
    str | None,
    typer.Option(
        help="Objects with a lower score are dropped; 'none' keeps all.  [default: auto]", rich_help_panel=DECODING
    ),
]
Estimate = Annotated[
    bool | None,
    typer.Option(
        "--estimate/--no-estimate",
        help="Whether diameters are estimated where none is given.  [default: chosen on the validation images]",
        rich_help_panel=DECODING,
    ),
]
Iterations = Annotated[
    int | None,
    typer.Option("--n-iter", help="Steps to follow the flows.  [default: until all settle]", rich_help_panel=DECODING),
]
TestTimeAugmentation = Annotated[
    bool | None,
    typer.Option(
        "--tta/--no-tta",
        help="Mean over the image rotated and flipped: eight times slower.  [default: no-tta]",
        rich_help_panel=DECODING,
    ),
]


def option_of(name: str) -> str:
    """The option that gives a parameter."""
    return "--" + OTHER_NAMES.get(name, name).replace("_", "-")


def parse_given(given: list[tuple[str, Any]]) -> dict[str, Any]:
    """Values of the parameters that are given, those of `WORDS` from their text."""
    return {name: _parse(name, value) if name in WORDS else value for name, value in given if value is not None}


def _parse(name: str, text: str) -> float | str | None:
    """A number, or one of the words that the option takes in its place."""
    if text in WORDS[name]:
        return None if text == NONE else text
    try:
        number = float(text)
    except ValueError:
        words = " or ".join(map(repr, WORDS[name]))
        raise ValueError(f"{option_of(name)} must be a number or {words}; got {text!r}.") from None
    return int(number) if number.is_integer() else number


@contextmanager
def naming_options() -> Iterator[None]:
    """Errors about parameters name the options that give them."""
    try:
        yield
    except (TypeError, ValueError) as error:
        name, _, rest = str(error).partition(" must ")
        if type(error) not in (TypeError, ValueError) or not name.isidentifier() or name in ("images", "masks"):
            raise
        raise type(error)(f"{option_of(name)} must {rest}") from None
