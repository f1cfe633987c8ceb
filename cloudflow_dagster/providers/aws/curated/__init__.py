"""Curated node types: what people reach for, in their words.

`aws.ec2.instance.start` is declared in `ec2/instance.py`, with `aws_action` (`../declare.py`).
"""
