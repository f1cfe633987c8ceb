"""ECS: tasks and services."""
