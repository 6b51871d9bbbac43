"""Times of the kernels from commit to commit: pip install asv virtualenv; asv run --config benchmarks/asv.conf.json."""

import numpy as np

import flowseg


def disks(n: int, diameter: int) -> np.ndarray:
    """Label image of n x n disks on a square lattice."""
    pitch = diameter + 10
    axis = (np.arange(n * pitch) % pitch - pitch / 2) ** 2
    number = np.arange(n * pitch) // pitch
    labels = 1 + number[:, np.newaxis] * n + number
    return np.where(axis[:, np.newaxis] + axis < diameter**2 / 4, labels, 0).astype(np.int32)


class Disks:
    """Labels to flows and back, on disks of one size."""

    params = ([20, 80, 320], [1, 2])
    param_names = ("diameter", "workers")

    def setup(self, diameter: int, workers: int) -> None:  # noqa: ARG002
        """Prepare flows with a little noise, as networks predict them."""
        self.masks = disks(640 // diameter + 1, diameter)
        noise = np.random.default_rng(0).normal(0, 0.1, (2, *self.masks.shape))
        self.flows = (flowseg.masks_to_flows(self.masks) + noise).astype(np.float32)
        self.cellprob = np.where(self.masks > 0, 5, -5).astype(np.float32)

    def time_masks_to_flows(self, diameter: int, workers: int) -> None:  # noqa: ARG002
        """Labels to flows."""
        flowseg.masks_to_flows(self.masks, workers=workers)

    def time_flow_errors(self, diameter: int, workers: int) -> None:  # noqa: ARG002
        """The flow check alone."""
        flowseg.flow_errors(self.masks, self.flows, workers=workers)

    def time_flows_to_masks(self, diameter: int, workers: int) -> None:  # noqa: ARG002
        """Flows to masks without the flow check."""
        flowseg.flows_to_masks(self.flows, self.cellprob, flow_threshold=None, workers=workers)

    def time_follow_200_steps(self, diameter: int, workers: int) -> None:  # noqa: ARG002
        """Exactly 200 steps for every pixel."""
        flowseg.follow_flows(self.flows, self.masks, n_iter=200, workers=workers)


class Small:
    """One small image: what calls cost."""

    def setup(self) -> None:
        """Prepare 20 nuclei in 256 x 256 pixels."""
        _, self.masks = flowseg.synthetic.cells((256, 256), 20, rng=0)
        self.flows = flowseg.masks_to_flows(self.masks)
        self.cellprob = np.where(self.masks > 0, 5, -5).astype(np.float32)

    def time_masks_to_flows(self) -> None:
        """Labels to flows."""
        flowseg.masks_to_flows(self.masks)

    def time_flows_to_masks(self) -> None:
        """Flows to masks with the flow check."""
        flowseg.flows_to_masks(self.flows, self.cellprob)


class Box:
    """Labels to flows and back, on one box of a volume."""

    params = ([20, 40, 80, 160],)
    param_names = ("side",)

    def setup(self, side: int) -> None:
        """Prepare the box, with a margin of 4 voxels."""
        self.masks = np.pad(np.ones((side,) * 3, dtype=np.int32), 4)
        self.flows = flowseg.masks_to_flows(self.masks)
        self.cellprob = np.where(self.masks > 0, 5, -5).astype(np.float32)

    def time_masks_to_flows(self, side: int) -> None:  # noqa: ARG002
        """Labels to flows."""
        flowseg.masks_to_flows(self.masks, workers=1)

    def time_flows_to_masks(self, side: int) -> None:  # noqa: ARG002
        """Flows to masks without the flow check."""
        flowseg.flows_to_masks(self.flows, self.cellprob, flow_threshold=None, workers=1)


class Volume:
    """A volume of touching objects."""

    def setup(self) -> None:
        """Prepare 64 boxes of 15 x 20 x 20 pixels."""
        numbers = np.arange(1, 65).reshape(4, 4, 4)
        self.masks = np.kron(numbers, np.ones((15, 20, 20), dtype=np.int32))
        self.flows = flowseg.masks_to_flows(self.masks)
        self.cellprob = np.full(self.masks.shape, 5, np.float32)

    def time_masks_to_flows(self) -> None:
        """Labels to flows."""
        flowseg.masks_to_flows(self.masks)

    def time_flows_to_masks(self) -> None:
        """Flows to masks with the flow check."""
        flowseg.flows_to_masks(self.flows, self.cellprob)
