#!/bin/bash
# Segment one large image in the parts of a SLURM job array. On the login node:
#
#     bash large_images_slurm.sh slide.ome.zarr nuclei results/slide.ome.zarr 200
#
# for 200 parts. The output must be in a folder that all machines see under the same path. Parts may run at once, or some
# after others: those at work do the blocks of parts that are still in the queue, or were killed. After a failure, the
# same command goes on where the run has come to.
set -euo pipefail

image=$1 model=$2 output=$3 n=$4

# Reads the image's metadata only.
if [ ! -e "$output.blocks/plan.json" ]; then
    flowseg blocks plan "$image" --model "$model" --output "$output" --block-size 2048
fi

# One block at a time in each part. A part that SLURM ends for another job is started again by itself.
parts=$(sbatch --parsable --array="1-$n" --job-name=flowseg-blocks --output="flowseg-%A_%a.log" --requeue \
    --cpus-per-task=4 --mem=16G --time=04:00:00 \
    --wrap "flowseg blocks run '$output' --part \$SLURM_ARRAY_TASK_ID/$n")

# Once all parts are over, if none of them failed.
sbatch --dependency="afterok:$parts" --job-name=flowseg-finish --output="flowseg-finish-%j.log" --mem=4G --time=00:30:00 \
    --wrap "flowseg blocks finish '$output'"
