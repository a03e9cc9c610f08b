"""Knowing before renting: what a training step needs of a machine, and how long it takes there."""
