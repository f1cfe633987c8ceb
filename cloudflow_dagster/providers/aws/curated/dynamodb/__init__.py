"""DynamoDB: items and backups of tables."""
