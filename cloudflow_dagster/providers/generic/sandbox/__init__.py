"""A separate process for Python code that came with a flow."""
