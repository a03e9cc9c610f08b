"""One file for each family of Hugging Face's models; each holds a value called FAMILY."""
