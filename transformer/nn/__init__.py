"""Thin Linen modules and the specs that build them. The only floor that imports flax."""
