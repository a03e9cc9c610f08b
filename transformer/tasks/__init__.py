"""What a model is asked: the layout of a record, the reading of an answer, and its metric."""
