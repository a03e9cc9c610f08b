"""Text from a model, one token after another, through its doors `open` and `decode` alone."""
