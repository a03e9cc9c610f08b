"""Directories of tokenizers as published models have them, built offline.

{name: (model_type, write, what stands before a text, what behind it)}
"""

import json

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

TEXT = ["the old boat went out to sea", "the sea was old, and the boat!"] * 20
BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
BART = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def _config(folder, tokenizer_class, **entries):
    text = json.dumps({"tokenizer_class": tokenizer_class, **entries})
    (folder / "tokenizer_config.json").write_text(text)


def word_piece(folder):
    model = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    model.normalizer = normalizers.BertNormalizer()
    model.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    model.decoder = decoders.WordPiece()
    model.train_from_iterator(TEXT, trainers.WordPieceTrainer(
        vocab_size=60, show_progress=False, special_tokens=BERT))
    model.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    model.enable_padding(length=40)  # as of sentence embedders; no piece of the frame
    model.save(str(folder / "tokenizer.json"))
    _config(folder, "BertTokenizer")


def words_alone(folder):
    """As BERT was first published."""
    word_piece(folder)
    tree = json.loads((folder / "tokenizer.json").read_text())
    words = sorted(tree["model"]["vocab"], key=tree["model"]["vocab"].get)
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    (folder / "tokenizer.json").unlink()


def _byte_level(special):
    model = tokenizers.Tokenizer(models.BPE())
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = decoders.ByteLevel()
    model.train_from_iterator(TEXT, trainers.BpeTrainer(
        vocab_size=290, special_tokens=special, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return model


def bytes_of_bart(folder):
    model = _byte_level(BART)
    model.post_processor = processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), add_prefix_space=False)
    model.save(str(folder / "tokenizer.json"))
    _config(folder, "RobertaTokenizer", cls_token="<s>", sep_token="</s>", bos_token="<s>",
            eos_token="</s>", mask_token="<mask>", pad_token="<pad>", unk_token="<unk>")


def tables_of_bart(folder):
    """As BART was first published."""
    bytes_of_bart(folder)
    tree = json.loads((folder / "tokenizer.json").read_text())["model"]
    (folder / "vocab.json").write_text(json.dumps(tree["vocab"]))
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in tree["merges"]]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")
    (folder / "tokenizer.json").unlink()


def bytes_of_gpt2(folder):
    model = _byte_level(["<|endoftext|>"])
    model.post_processor = processors.ByteLevel(trim_offsets=False)
    model.save(str(folder / "tokenizer.json"))
    _config(folder, "GPT2Tokenizer", bos_token="<|endoftext|>", eos_token="<|endoftext|>")


def bytes_of_llama3(folder):
    model = _byte_level(["<|begin_of_text|>", "<|end_of_text|>"])
    model.post_processor = processors.TemplateProcessing(
        single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", 0)])
    model.save(str(folder / "tokenizer.json"))
    _config(folder, "PreTrainedTokenizerFast", bos_token="<|begin_of_text|>",
            eos_token="<|end_of_text|>")


def unigram(folder):
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -2.0), ("\u2581sea", -3.0)]
    pieces += [(letter, -4.0) for letter in "abdehnostuw"]
    model = tokenizers.Tokenizer(models.Unigram(pieces, unk_id=2))
    model.pre_tokenizer = pre_tokenizers.Metaspace()
    model.decoder = decoders.Metaspace()
    model.add_special_tokens(["<pad>", "</s>", "<unk>"])
    model.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)])
    model.save(str(folder / "tokenizer.json"))
    _config(folder, "T5Tokenizer", eos_token="</s>", pad_token="<pad>", unk_token="<unk>",
            extra_ids=0)


STORED = {
    "word pieces": ("bert", word_piece, ["cls"], ["sep"]),
    "words alone": ("bert", words_alone, ["cls"], ["sep"]),
    "BART's bytes": ("bart", bytes_of_bart, ["bos"], ["eos"]),
    "BART's tables": ("bart", tables_of_bart, ["bos"], ["eos"]),
    "RoBERTa's tables": ("roberta", tables_of_bart, ["cls"], ["eos"]),
    "GPT-2's bytes": ("gpt2", bytes_of_gpt2, [], []),
    "LLaMA 3's bytes": ("llama", bytes_of_llama3, ["bos"], []),
    "T5's pieces": ("t5", unigram, [], ["eos"]),
}
