"""Find photo files and decode them in separate processes, because a broken file may hang or crash a decoder."""
