"""Pure functions of arrays. Nothing here owns a parameter."""
