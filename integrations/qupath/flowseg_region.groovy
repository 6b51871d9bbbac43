/*
 * Segments the selected annotations with flowseg, and adds the objects to them as detections.
 *
 * Open it in QuPath's script editor, set the values below, select one or more annotations, and choose Run.
 */
import java.awt.geom.AffineTransform
import java.nio.file.Files
import qupath.lib.io.PathIO
import qupath.lib.objects.PathObjectTools
import qupath.lib.regions.RegionRequest

import static qupath.lib.scripting.QP.*

// The flowseg command; with its folder, as QuPath may not find it: "/home/me/flowseg/.venv/bin/flowseg".
def FLOWSEG = "flowseg"
// A model file, or the name of a model that ships with flowseg.
def MODEL = "nuclei"
// Pixels of the image per pixel that flowseg sees, along each axis: 1 is full resolution, 4 shows it a quarter.
def DOWNSAMPLE = 1.0

def server = getCurrentServer()
def annotations = getSelectedObjects().findAll { it.isAnnotation() && it.hasROI() && it.getROI().isArea() }
if (annotations.isEmpty())
    throw new IllegalStateException("Select an annotation with an area, such as a rectangle, and run this again.")

// The bounding box of every annotation, as far as it is in the image, becomes an image of its own.
def folder = Files.createTempDirectory("flowseg").toFile()
def images = new File(folder, "images")
def results = new File(folder, "results")
images.mkdir()
def requests = annotations.withIndex().collect { annotation, k ->
    def request = RegionRequest.createInstance(server.getPath(), DOWNSAMPLE, annotation.getROI())
        .intersect2D(0, 0, server.getWidth(), server.getHeight())
    writeImageRegion(server, request, new File(images, "region_${k}.tif").getPath())
    return request
}

def command = [FLOWSEG, "predict", images.getPath(), "--model", MODEL, "--output", results.getPath(),
               "--also", "geojson", "--no-overlay"]
println command.join(" ")
def process = new ProcessBuilder(command).redirectErrorStream(true).start()
process.getInputStream().eachLine { println it }
if (process.waitFor() != 0)
    throw new IllegalStateException("flowseg failed; its message is above. The regions are in ${folder}.")

// Coordinates count from the corner of the region, in the pixels that flowseg saw.
annotations.eachWithIndex { annotation, k ->
    def request = requests[k]
    def roi = annotation.getROI()
    def toImage = AffineTransform.getTranslateInstance(request.getX(), request.getY())
    toImage.scale(request.getDownsample(), request.getDownsample())
    def objects = PathIO.readObjects(new File(results, "region_${k}.geojson"))
        .collect { PathObjectTools.transformObject(it, toImage, true) }
        .collect { PathObjectTools.updatePlane(it, roi.getImagePlane(), true, false) }
        .findAll { roi.contains(it.getROI().getCentroidX(), it.getROI().getCentroidY()) }
    annotation.addChildObjects(objects)
    println "${objects.size()} objects in ${annotation}"
}
fireHierarchyUpdate()
folder.deleteDir()
