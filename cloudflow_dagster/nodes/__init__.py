"""What a node type is, how one is declared, and how it is found."""
