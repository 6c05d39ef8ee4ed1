"""From folders of images to verdicts: the names of files (sources), their pixels (pillow) and features (extractors), chunk by chunk
(reading); labelled images (labelled), and classifiers trained on them (fitting, classifier); all in one call (folders).
"""
