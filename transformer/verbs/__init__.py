"""The verbs of `python -m transformer`, one file each, with a function `command(arguments)`."""
