"""Find what belongs together in an index: bursts, copies in several sizes, RAW + JPEG. See `stacking`."""
