"""Speed: what a model costs on the machine at hand, and int8 inference."""

from payattention.speed.benchmark import Benchmark, Pace, benchmark
from payattention.speed.int8 import Int8Model, quantised
from payattention.speed.timing import Spread, alternated, ratios

__all__ = ["Benchmark", "Int8Model", "Pace", "Spread", "alternated", "benchmark", "quantised", "ratios"]
