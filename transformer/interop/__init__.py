"""Checkpoints in and out: Hugging Face directories, one two-way name table for each family."""
