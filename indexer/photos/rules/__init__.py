"""Rules by which a walk tells photos from other files, and leaves out what nobody looks for."""
