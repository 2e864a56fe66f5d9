"""From a photograph to an aligned face: detectors, five landmarks, the similarity transform onto insightface's points."""
