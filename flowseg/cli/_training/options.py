"""The options of a training, in groups."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flowseg.cli._shared.options import NORMALIZE_HELP, complete_model

# Groups of options.
NETWORK, TRAINING, VALIDATION, DECODING = "Network", "Training", "Validation", "From outputs to masks"

ValidationImages = Annotated[
    str | None,
    typer.Option(
        help="Validation images, on which weights and thresholds are chosen.  [default: a share of IMAGES]",
        rich_help_panel=VALIDATION,
    ),
]
ValidationMasks = Annotated[
    str | None, typer.Option(help="Masks of the validation images.", rich_help_panel=VALIDATION)
]
ValidationClasses = Annotated[
    str | None,
    typer.Option(help="Classes of the objects in the validation masks, as for --classes.", rich_help_panel=VALIDATION),
]
ValidationFraction = Annotated[
    float | None,
    typer.Option(
        help="Share of IMAGES to hold out for validation, from 0 to 1.  [default: 0.1]", rich_help_panel=VALIDATION
    ),
]
Patience = Annotated[
    int | None,
    typer.Option(
        help="Stop after this number of epochs without a lower validation loss.  [default: never]",
        rich_help_panel=VALIDATION,
    ),
]
Normalize = Annotated[
    str | None, typer.Option(help=f"{NORMALIZE_HELP}  [default: percentiles:1,99]", rich_help_panel=TRAINING)
]
Start = Annotated[
    str | None,
    typer.Option(
        "--from",
        help="Train this model further: a model file, or the name of a pretrained model (nuclei or tissue). "
        "--epochs, --learning-rate and --seed have the defaults below; other options that are not given are those of "
        "the model. --network, --filters, --diameter, --ndim and --boundary cannot be changed.",
        autocompletion=complete_model,
        rich_help_panel=NETWORK,
    ),
]
Boundary = Annotated[
    bool,
    typer.Option(
        "--boundary",
        help="Train the three-class baseline (background, interior, boundary) instead of flows.",
        rich_help_panel=NETWORK,
    ),
]
Ndim = Annotated[
    int | None,
    typer.Option(
        "--ndim",
        help="Axes of the images: 2 for images, 3 for volumes.  [default: 3 if the files name their planes Z and the "
        "masks are volumes, or else 2]",
        rich_help_panel=NETWORK,
    ),
]
Network = Annotated[
    str | None, typer.Option(help="Network: unet or resunet.  [default: unet]", rich_help_panel=NETWORK)
]
Filters = Annotated[
    str | None,
    typer.Option(
        help="Number of filters per level, finest first.  [default: 16,32,64,128,256; for volumes 16,32,64]",
        rich_help_panel=NETWORK,
    ),
]
Diameter = Annotated[
    float | None,
    typer.Option(
        help="Diameter in pixels that objects are scaled to for the network.  [default: their own, within 24 to 40; of "
        "volumes 12 to 16]",
        rich_help_panel=NETWORK,
    ),
]
Epochs = Annotated[
    int, typer.Option(help="Number of epochs; one of 50 steps takes 10 to 40 s on two cores.", rich_help_panel=TRAINING)
]
StepsPerEpoch = Annotated[
    int | None, typer.Option(help="Training steps per epoch.  [default: 50]", rich_help_panel=TRAINING)
]
BatchSize = Annotated[
    int | None, typer.Option(help="Crops per step.  [default: 8; for volumes 2]", rich_help_panel=TRAINING)
]
CropSize = Annotated[
    int | None,
    typer.Option(help="Side of the crops in pixels.  [default: 128; for volumes 48]", rich_help_panel=TRAINING),
]
LearningRate = Annotated[
    str,
    typer.Option(help="Peak learning rate; 'auto' is 0.001.", rich_help_panel=TRAINING),
]
Augment = Annotated[
    bool | None,
    typer.Option(
        "--augment/--no-augment",
        help="Rotate, flip and scale crops, and change their intensities, at random.  [default: augment]",
        rich_help_panel=TRAINING,
    ),
]
Seed = Annotated[
    int,
    typer.Option(
        "--seed", help="Random seed: the same seed gives the same model on the same machine.", rich_help_panel=TRAINING
    ),
]
CheckpointFile = Annotated[
    Path | None,
    typer.Option(
        "--checkpoint",
        help="File for the state after every epoch; if it exists, its training continues.",
        rich_help_panel=TRAINING,
    ),
]
CellprobThreshold = Annotated[
    str | None,
    typer.Option(
        help="Pixels with a larger cellprob (a logit) are foreground.  [default: auto, chosen on validation images]",
        rich_help_panel=DECODING,
    ),
]
FlowThreshold = Annotated[
    str | None,
    typer.Option(
        help="Objects whose flow error (a squared difference) is larger are dropped, except at the image's border; "
        "'none' keeps all.  [default: auto]",
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
        help="Objects with a lower score, from 0 to 1, are dropped; 'none' keeps all.  [default: auto]",
        rich_help_panel=DECODING,
    ),
]
Estimate = Annotated[
    bool | None,
    typer.Option(
        "--estimate/--no-estimate",
        help="Whether to estimate diameters that are not given.  [default: chosen on the validation images]",
        rich_help_panel=DECODING,
    ),
]
Iterations = Annotated[
    int | None,
    typer.Option(
        "--n-iter", help="Steps to follow the flows.  [default: until all pixels settle]", rich_help_panel=DECODING
    ),
]
TestTimeAugmentation = Annotated[
    bool | None,
    typer.Option(
        "--tta/--no-tta",
        help="Test-time augmentation: mean over the image rotated and flipped, eight times slower.  [default: no-tta]",
        rich_help_panel=DECODING,
    ),
]
Precision = Annotated[
    str | None,
    typer.Option(
        help="Numbers that the network computes with in prediction: float32, or bfloat16, which takes about two thirds "
        "of the time on processors with instructions for it.  [default: float32]",
        rich_help_panel=DECODING,
    ),
]
