"""From folders of images to verdicts."""
