"""Named architectures as values: one file a family, each number citing its table."""
