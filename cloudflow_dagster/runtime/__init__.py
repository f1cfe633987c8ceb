"""Executes one step of a plan, or one iteration of a loop's body. Knows nothing of Dagster."""
