"""From raw text to rows of token ids: tokenizers, sources, encoded corpora and streams.

Importing this package imports neither jax nor any tokenizer library; each module loads what it
needs when it is first used.
"""
