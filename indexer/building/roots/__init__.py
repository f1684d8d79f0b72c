"""Photo folders of an index: walk them, follow those that moved, say what was passed over."""
