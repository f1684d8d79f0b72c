"""Follow photo folders: wait until something changes below them, then build."""
