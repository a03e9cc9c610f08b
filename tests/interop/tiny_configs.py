"""A tiny config.json for each family, with odd sizes and what is unusual about it."""

V, LENGTH = 61, 23  # tokens and positions

BERT = dict(vocab_size=V, hidden_size=30, num_hidden_layers=3, num_attention_heads=5,
            intermediate_size=44, max_position_embeddings=LENGTH)
LLAMA = dict(vocab_size=V, hidden_size=42, intermediate_size=27, num_hidden_layers=3,
             num_attention_heads=6, num_key_value_heads=2, head_dim=8, pad_token_id=0)
GPT = dict(vocab_size=V, n_positions=LENGTH, n_embd=30, n_layer=3, n_head=5, pad_token_id=0)
SIDES = {f"{side}_{name}": value + (side == "decoder") * more for side in ("encoder", "decoder")
         for name, value, more in (("layers", 2, 1), ("attention_heads", 5, 1), ("ffn_dim", 44, 2))}
BART = dict(vocab_size=V, d_model=30, max_position_embeddings=LENGTH, pad_token_id=1,
            bos_token_id=0, eos_token_id=2, decoder_start_token_id=2, **SIDES)

CONFIGS = {
    "openai-gpt": GPT,
    "gpt2": {**GPT, "n_inner": 44, "bos_token_id": 1, "eos_token_id": 2},
    "gpt_neox": dict(vocab_size=V, hidden_size=40, num_hidden_layers=3, num_attention_heads=5,
                     intermediate_size=44, max_position_embeddings=LENGTH, pad_token_id=0),
    "llama": {**LLAMA, "rope_parameters": {
        "rope_type": "llama3", "rope_theta": 500.0, "factor": 4.0, "low_freq_factor": 1.0,
        "high_freq_factor": 2.0, "original_max_position_embeddings": 16}},
    "qwen3": {**LLAMA, "tie_word_embeddings": True},
    "gemma": LLAMA,
    "bert": BERT,
    "roberta": {**BERT, "pad_token_id": 1, "layer_norm_eps": 1e-5, "type_vocab_size": 1,
                "bos_token_id": 0, "eos_token_id": 2},
    "electra": {**BERT, "embedding_size": 14},
    "albert": {**BERT, "embedding_size": 14, "num_hidden_layers": 5, "num_hidden_groups": 2,
               "inner_group_num": 2, "bos_token_id": 2, "eos_token_id": 3},
    "distilbert": dict(vocab_size=V, dim=30, n_layers=3, n_heads=5, hidden_dim=44,
                       max_position_embeddings=LENGTH),
    "modernbert": dict(vocab_size=V, hidden_size=30, num_hidden_layers=6, num_attention_heads=5,
                       intermediate_size=44, max_position_embeddings=LENGTH, local_attention=6,
                       pad_token_id=0, bos_token_id=1, cls_token_id=1, eos_token_id=2,
                       sep_token_id=2),
    "t5": dict(vocab_size=V, d_model=30, d_kv=6, d_ff=44, num_layers=2, num_decoder_layers=3,
               num_heads=4, relative_attention_num_buckets=8, relative_attention_max_distance=12,
               pad_token_id=0, eos_token_id=1, decoder_start_token_id=0),
    "bart": BART,
    "marian": {**BART, "pad_token_id": V - 1, "decoder_start_token_id": V - 1, "eos_token_id": 0,
               "bos_token_id": None, "scale_embedding": True, "activation_function": "swish"},
}
CONFIGS["bart"] |= {"encoder_attention_heads": 5, "decoder_attention_heads": 3}
CONFIGS["marian"] |= {"encoder_attention_heads": 5, "decoder_attention_heads": 3}
LABELS = {"id2label": {str(n): f"LABEL_{n}" for n in range(3)},
          "label2id": {f"LABEL_{n}": n for n in range(3)}}


def labelled(heads: tuple[str, ...]) -> dict:
    """Three classes where a head has classes; QA and sentence pairs keep their two."""
    return LABELS if {"classes", "tags"} & set(heads) else {}
