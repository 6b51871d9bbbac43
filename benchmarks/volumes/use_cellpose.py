"""Train the small network of Cellpose 3 from scratch and segment; `process` says how to call this.

KIND is cyto: the size that its network is made for. It learns planes of all three orientations, made isotropic where
the spacing is known, as its documentation of 3-D says. WAY is do_3D, or stitch: planes joined where they overlap.
Cellpose cannot ignore pixels: in training they are background.
"""

import time

import numpy as np
import process
import torch
from cellpose import dynamics, models
from cellpose import train as training

CHANNELS = [0, 0]
BATCH_SIZE = 8
DIAMETER = 30.0  # that of "cyto"
# Steps that the time of one is taken from.
TRIAL_STEPS = 3
RESERVE = 0.04
STITCH_THRESHOLD = 0.25  # IoU; the default of its function stitch3D
MODEL = "cellpose"


def fit(planes, flows, repeats, n_steps, seed, folder):
    """An epoch is one step: Cellpose's schedule (10 epochs of warm-up, lower rates at the end) is made for hundreds."""
    np.random.seed(seed)
    torch.manual_seed(seed)
    model = models.CellposeModel(gpu=False, pretrained_model=False, diam_mean=DIAMETER)
    start = time.perf_counter()
    training.train_seg(
        model.net, train_data=planes, train_labels=flows, train_probs=repeats.astype(float), channels=CHANNELS,
        n_epochs=n_steps, nimg_per_epoch=BATCH_SIZE, batch_size=BATCH_SIZE, save_path=folder, min_train_masks=1,
        learning_rate=0.1, weight_decay=1e-4, SGD=True, model_name=MODEL,
    )  # fmt: skip
    return model, time.perf_counter() - start


def train(data, folder, kind, seconds, seed):
    start = time.perf_counter()
    planes, masks, repeats = process.read_planes(data, "train")
    flows = dynamics.labels_to_flows([np.maximum(m, 0) for m in masks], device=torch.device("cpu"))
    making_flows = time.perf_counter() - start
    # Its schedule wants the number of epochs beforehand. What finding it out takes is not taken from its time.
    fit(planes, flows, repeats, 1, seed, folder)  # warms up
    short, long = (fit(planes, flows, repeats, n, seed, folder)[1] for n in (1, 1 + TRIAL_STEPS))
    step = max((long - short) / TRIAL_STEPS, 0.1)
    left = seconds * (1 - RESERVE) - making_flows - max(short - step, 0.0)
    n_steps = max(1, int(left / step))
    model, trained = fit(planes, flows, repeats, n_steps, seed, folder)
    settings = {"diameter": round(model.net.diam_labels.item(), 2)}
    times = {"train_seconds": round(making_flows + trained), "choose_seconds": 0}
    return times | {"steps": n_steps, "seconds_per_step": step, "settings": settings}


def load(folder, way, spacing):
    model = models.CellposeModel(gpu=False, pretrained_model=str(folder / "models" / MODEL))
    if way == "stitch":
        how = {"stitch_threshold": STITCH_THRESHOLD}
    else:
        how = {"do_3D": True, "anisotropy": None if spacing is None else spacing[0] / spacing[1]}
    return lambda volume: model.eval(volume, channels=CHANNELS, z_axis=0, **how)[0]


if __name__ == "__main__":
    process.main(train, load)
