"""Files that end too early: tell that they do, and complete those of which enough is there."""
