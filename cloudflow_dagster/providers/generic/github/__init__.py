"""GitHub, through its REST API."""
