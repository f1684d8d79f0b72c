"""What an index keeps beside its catalogue and manifest, so that either can be written again when it is lost."""
