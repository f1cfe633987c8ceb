"""From a flow as written to a plan: parse, resolve, check, plan (`pipeline.py`)."""
