#!/bin/bash
# Segment one large image in the parts of a SLURM job array, without a scheduler of flowseg's own:
#
#     sbatch --array=1-200 large_images_slurm.sh slide.ome.zarr nuclei results/slide.ome.zarr
#
# The script submits itself twice more: the parts wait for the plan, and the end waits for the parts. The output must be
# in a folder that all machines see under the same path. Parts may run at once, or some after others: those at work do
# the blocks of parts that are still in the queue, or were killed. A job that is cut short is submitted again as it was.
#
#SBATCH --job-name=flowseg-blocks
#SBATCH --output=flowseg-%A_%a.log
#SBATCH --cpus-per-task=4
#SBATCH --mem=16G
#SBATCH --time=04:00:00
#SBATCH --requeue
set -euo pipefail

image=$1 model=$2 output=$3

# The first part to come makes the plan; the others wait until it is there.
if [ "$SLURM_ARRAY_TASK_ID" = "$SLURM_ARRAY_TASK_MIN" ] && [ ! -e "$output.blocks/plan.json" ]; then
    flowseg blocks plan "$image" --model "$model" --output "$output" --block-size 2048
    # The end: runs once all parts are over, if none of them failed.
    sbatch --dependency="afterok:$SLURM_ARRAY_JOB_ID" --job-name=flowseg-finish --output=flowseg-finish-%j.log \
        --wrap "flowseg blocks finish '$output'"
fi
until [ -e "$output.blocks/plan.json" ]; do sleep 5; done

flowseg blocks run "$output" --part "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT"
