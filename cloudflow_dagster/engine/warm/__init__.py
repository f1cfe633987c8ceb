"""The warm processes from which runs are forked; see `zygote.py` for who is who.

Linux alone: they need `fork` without `exec`, which other systems' libraries do not survive.
"""
