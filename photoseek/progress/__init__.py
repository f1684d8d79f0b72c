"""Show how far long work is: lines for a log, bars for a terminal."""
