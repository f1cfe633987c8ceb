"""The simulated AWS cloud: moto's server with a small estate in it."""

from cloudflow_dagster.simulator.discover import ENVIRONMENT_VARIABLE, discover
from cloudflow_dagster.simulator.running import (
    SimulatorMissingError,
    check_installed,
    simulated_aws,
    start_simulated_aws,
)
from cloudflow_dagster.simulator.server import SimulatedAws

__all__ = [
    "ENVIRONMENT_VARIABLE",
    "SimulatedAws",
    "SimulatorMissingError",
    "check_installed",
    "discover",
    "simulated_aws",
    "start_simulated_aws",
]
