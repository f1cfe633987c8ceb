"""Flows that call each other."""
