"""Segment one large image on the machines of a SLURM cluster through dask-jobqueue.

    pip install "flowseg[large]" dask-jobqueue
    python large_images_jobqueue.py slide.ome.zarr results/slide.ome.zarr

The script runs on the login node or in a small job of its own, and starts workers as SLURM jobs. The output must be in
a folder that all machines see under the same path. A worker that SLURM ends costs the block that it is at; when this
script itself is ended, the same command continues the run.
"""

import sys

from dask_jobqueue import SLURMCluster
from distributed import Client

import flowseg
from flowseg import blockwise

if __name__ == "__main__":
    image, output = sys.argv[1:]
    cluster = SLURMCluster(
        cores=4,  # one block at a time on each core
        processes=4,
        memory="32GB",
        walltime="04:00:00",
        # Workers end by themselves before SLURM ends them, and others take their place.
        worker_extra_args=["--lifetime", "225m", "--lifetime-stagger", "10m"],
    )
    # On a cluster with GPUs, workers that declare one run the network:
    # SLURMCluster(..., job_extra_directives=["--gres=gpu:1"], worker_extra_args=["--resources", "GPU=1"])
    cluster.adapt(minimum_jobs=1, maximum_jobs=50)
    with Client(cluster) as client:
        client.wait_for_workers(1)  # as long as the first job is in the queue
        segmenter = flowseg.FlowSegmenter.from_pretrained("nuclei")
        blockwise.segment(segmenter, image, output, client=client, resume=True)
