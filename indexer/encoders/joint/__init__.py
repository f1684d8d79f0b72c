"""Joint encoders, which embed photos and texts in one space, of transformers and of open_clip."""
