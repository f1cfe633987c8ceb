"""RDS: databases and their snapshots."""
