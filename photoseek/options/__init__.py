"""Options that several commands share: read, checked, turned into what the work takes."""
