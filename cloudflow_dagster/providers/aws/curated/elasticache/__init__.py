"""ElastiCache: caches of Valkey and Redis."""
