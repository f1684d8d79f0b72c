"""The commands, one file per family: open, call, echo. The library below knows no click."""
