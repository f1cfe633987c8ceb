"""What belongs to no cloud: HTTP requests, Python code, making JSON of JSON."""
