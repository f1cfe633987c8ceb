"""Kills runs at random moments and compares the cloud with what one undisturbed run makes.

`python -m tests.chaos --kills 200 --seed 7`; `make chaos`.
"""
