"""Security Token Service."""
