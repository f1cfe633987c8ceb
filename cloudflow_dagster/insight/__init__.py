"""Questions asked of a plan: what its credentials must be allowed to do."""
