"""Train the small network of Cellpose 3 from scratch for so many minutes and segment: DATA OUTPUT MINUTES SEED KIND."""

import json
import sys
import tempfile
import time

import numpy as np
import torch
from cellpose import models, train

# Share of the time that is left for everything but training.
RESERVE = 0.06
CHANNELS = [0, 0]
# Epochs that the time of one is taken from; Cellpose's first ten have a lower learning rate, not a lower cost.
TRIAL_EPOCHS = 3


def read(file, split):
    with np.load(file) as arrays:
        names = sorted(arrays.files)
        return tuple([arrays[n] for n in names if n.startswith(f"{split}/{kind}/")] for kind in ("image", "mask"))


def fit(data, n_epochs, seed, diameter):
    np.random.seed(seed)
    torch.manual_seed(seed)
    model = models.CellposeModel(gpu=False, pretrained_model=False, diam_mean=diameter)
    with tempfile.TemporaryDirectory() as folder:
        train.train_seg(
            model.net, train_data=data[0], train_labels=data[1], channels=CHANNELS, n_epochs=n_epochs,
            save_path=folder, learning_rate=0.1, weight_decay=1e-4, SGD=True, min_train_masks=1, batch_size=8,
        )  # fmt: skip
    return model


def time_of(data, n_epochs, seed, diameter):
    start = time.perf_counter()
    fit(data, n_epochs, seed, diameter)
    return time.perf_counter() - start


def main(data, output, minutes, seed, kind):
    pairs = read(data, "train")
    diameter = 17.0 if kind == "nuclei" else 30.0  # Cellpose's own two
    # Its schedule wants the number of epochs beforehand. What finding it out takes is not taken from its minutes.
    fit(pairs, 1, int(seed), diameter)  # compiles and warms up
    short, long = (time_of(pairs, n, int(seed), diameter) for n in (1, 1 + TRIAL_EPOCHS))
    epoch = max((long - short) / TRIAL_EPOCHS, 0.1)
    flows = max(short - epoch, 0.0)  # made anew by every training
    n_epochs = max(1, int((60 * float(minutes) * (1 - RESERVE) - flows) / epoch))
    start = time.perf_counter()
    model = fit(pairs, n_epochs, int(seed), diameter)
    trained = time.perf_counter() - start
    found = [
        model.eval(image, channels=CHANNELS, diameter=model.net.diam_labels.item())[0].astype(np.int32)
        for image in read(data, "report")[0]
    ]
    np.savez_compressed(output, **{f"{i:04d}": m for i, m in enumerate(found)})
    print(json.dumps({"seconds": round(trained), "epochs": n_epochs, "settings": {}}))


if __name__ == "__main__":
    main(*sys.argv[1:])
