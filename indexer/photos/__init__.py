"""Photo files: find them, decode them, in processes of their own where a broken one may hang."""
