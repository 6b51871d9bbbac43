// Segment images with flowseg, a batch of them per job.
//
//     nextflow run main.nf --images 'images/*.tif' --model nuclei --output results

params.images = 'images/*.tif'
params.model = 'nuclei'  // a model that ships with flowseg, or the whole path of a model file
params.output = 'results'
params.batch = 50        // images per job: the network starts once per job

process FLOWSEG {
    cpus 2
    memory '6 GB'
    publishDir params.output, mode: 'copy'

    input:
    path images
    val model

    output:
    path 'masks/*_masks.tif'
    path 'masks/*_objects.csv'

    script:
    """
    flowseg predict ${images} --model ${model} --output masks --also csv --no-overlay --workers ${task.cpus}
    """
}

workflow {
    images = Channel.fromPath(params.images, checkIfExists: true)
    FLOWSEG(images.buffer(size: params.batch, remainder: true), params.model)
}
