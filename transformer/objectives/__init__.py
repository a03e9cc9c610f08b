"""What a model is trained for: preparation of rows on the host and a pure loss, side by side."""
