"""From a photograph to an aligned face: detectors, five landmarks, and the crop at insightface's points."""
