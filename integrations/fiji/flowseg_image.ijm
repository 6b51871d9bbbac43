// Segments the active image, or the rectangle around its selection, with flowseg, and adds the objects to the ROI
// Manager. Of a stack it takes the slice that is shown.
//
// Set the values below; then Plugins > Macros > Run..., or Run in the editor of Fiji.

// The flowseg command; with its folder, as ImageJ may not find it: "/home/me/flowseg/.venv/bin/flowseg".
flowseg = "flowseg";
// A model file, or the name of a model that ships with flowseg.
model = "nuclei";

if (nImages == 0) exit("Open an image, and run this again.");
x = 0;
y = 0;
if (selectionType() >= 0) getSelectionBounds(x, y, width, height);

folder = getDirectory("temp") + "flowseg_" + getTime() + File.separator;
File.makeDirectory(folder);
original = getImageID();
run("Duplicate...", "title=flowseg_region");
run("Select None");
saveAs("Tiff", folder + "region.tif");
close();
selectImage(original);

results = folder + "results";
said = exec(flowseg, "predict", folder + "region.tif", "--model", model, "--output", results, "--also", "roi",
            "--no-overlay");
print(said);
if (!File.exists(results + File.separator + "region_masks.tif"))
    exit("flowseg failed; its message is in the log. The region is in " + folder);

// The file has no regions if no object was found. Coordinates count from the corner of the rectangle.
before = roiManager("count");
regions = results + File.separator + "region_rois.zip";
if (File.exists(regions)) roiManager("open", regions);
for (k = before; k < roiManager("count"); k++) {
    roiManager("select", k);
    getSelectionBounds(left, top, width, height);
    setSelectionLocation(left + x, top + y);
    roiManager("update");
}
run("Select None");
roiManager("show all");
print(roiManager("count") - before + " objects");
