"""What a map is worth, one idea a file. Each says which way is better, where it is from, and what it makes of masks
with several objects or none.

Maps are scored on the grid of the masks, float (n, h, w), and have to be finite. A score is given for each picture,
(n,), so that means, deviations and comparisons of two methods on the same pictures are the caller's.
"""

from payattention.evaluation.metrics.overlap import jaccard, otsu_masks, pixel_average_precision

__all__ = ["jaccard", "otsu_masks", "pixel_average_precision"]
