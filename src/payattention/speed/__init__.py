"""Speed: what a model costs on the machine at hand."""

from payattention.speed.benchmark import Benchmark, Pace, benchmark
from payattention.speed.timing import Spread, alternated, ratios

__all__ = ["Benchmark", "Pace", "Spread", "alternated", "benchmark", "ratios"]
