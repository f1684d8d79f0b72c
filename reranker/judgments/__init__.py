"""Read, check, embed and aggregate people's judgments of photos and captions."""
