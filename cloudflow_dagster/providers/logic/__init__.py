"""Which way a flow goes on, how often, and when."""
