"""Give the room of dead rows back: a new generation of an index's files, without them."""
