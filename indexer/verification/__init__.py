"""Verify an index: read everything that it keeps, change nothing, and name what is not as it was written."""
