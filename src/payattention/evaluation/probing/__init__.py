"""Probing: what a frozen backbone's features are worth, by each way to read them."""

from payattention.evaluation.probing.methods import METHODS, ProbeConfig
from payattention.evaluation.probing.table import Probe, probe

__all__ = ["METHODS", "Probe", "ProbeConfig", "probe"]
