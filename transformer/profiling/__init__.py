"""Where a training step's time goes: a trace, its parts, and the least that each could take."""
