"""Run networks: export them once, compile them for this CPU, choose the precision that they compute in."""
