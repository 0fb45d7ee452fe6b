"""A DMP for rehearsals and tests: repository (ITI-41), registry (ITI-18, ITI-57), existence test (TD0.2)."""

from vaguemestre.simulators.dmp.server import DmpSimulator
from vaguemestre.simulators.dmp.settings import DmpSettings

__all__ = ["DmpSettings", "DmpSimulator"]
