"""The HTTP request: the node type, and the parts it is made of."""
