"""What a flow is: the document as people write it, before it means anything."""
