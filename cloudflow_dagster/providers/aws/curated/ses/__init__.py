"""Simple Email Service."""
