"""Keep, beside catalogue and manifest, what either is written again from when it is lost."""
