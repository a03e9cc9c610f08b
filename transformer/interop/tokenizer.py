"""The tokenizer of a Hugging Face directory, whichever of the ways to store one it has."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from transformer.data.hugging_face import CONFIG_FILE, FILE, HuggingFace, roles
from transformer.data.no_text import NoText
from transformer.data.pieces import MODEL_FILE, Pieces, PiecesFile
from transformer.data.tokenizer import Tokenizer
from transformer.error import UserError
from transformer.interop.folder import Folder

WORDS, TABLE, MERGES = "vocab.txt", "vocab.json", "merges.txt"
PIECES = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model")
# Everything that makes up a tokenizer there, kept word for word.
FILES = (FILE, CONFIG_FILE, "special_tokens_map.json", "added_tokens.json", WORDS, TABLE, MERGES,
         *PIECES, "source.spm", "target.spm", "target_vocab.json", "chat_template.jinja")

BERT = {"unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]",
        "mask_token": "[MASK]"}
GPT = {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}


def tokenizer_in(folder: Folder, vocab: int) -> Tokenizer:
    """The tokenizer; one that knows ids only where the directory has none.

    Raises:
      UserError: its files cannot be read.
    """
    if folder.has(FILE):
        config = folder.object(CONFIG_FILE) if folder.has(CONFIG_FILE) else {}
        return _opened(folder.inside(FILE).read_bytes(), config)
    if folder.has(WORDS):
        return _built(folder, _word_piece, BERT)
    if folder.has(TABLE) and folder.has(MERGES):
        return _built(folder, _byte_pairs, GPT)
    for name in PIECES:
        if folder.has(name):
            return PiecesFile(path=str(folder.inside(name))).train()
    return NoText(size=vocab).train()


def _opened(data: bytes, config: dict) -> Tokenizer:
    kept = json.dumps(roles(config), sort_keys=True).encode()
    return HuggingFace(path=FILE).open({FILE: data, CONFIG_FILE: kept})


def _built(folder: Folder, build, special: dict[str, str]) -> Tokenizer:
    """A tokenizer.json made of the older files. special: the names where nothing is said."""
    config = folder.object(CONFIG_FILE) if folder.has(CONFIG_FILE) else {}
    try:
        model = build(folder, config)
        if folder.has("special_tokens_map.json"):
            config = {**folder.object("special_tokens_map.json"), **config}
        config = {**special, **config}
        spelled = [text for text in roles(config).values() if model.token_to_id(text) is not None]
        model.add_special_tokens(spelled)
    except UserError:
        raise
    except Exception as error:  # the library raises bare Exception
        raise UserError(f"{folder.path}: its tokenizer cannot be built: {error}") from None
    return _opened(model.to_str().encode(), config)


def _word_piece(folder: Folder, config: dict):
    """BERT's: words split at spaces and punctuation, then the longest pieces from the left."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    words = folder.inside(WORDS).read_text(encoding="utf-8").splitlines()
    vocabulary = {word: n for n, word in enumerate(words)}
    model = Tokenizer(models.WordPiece(vocabulary, unk_token=config.get("unk_token", "[UNK]")))
    model.normalizer = normalizers.BertNormalizer(
        lowercase=config.get("do_lower_case", True), strip_accents=config.get("strip_accents"),
        handle_chinese_chars=config.get("tokenize_chinese_chars", True))
    model.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    model.decoder = decoders.WordPiece()
    return model


def _byte_pairs(folder: Folder, config: dict):
    """GPT-2's pairs of bytes, or GPT-1's pairs of characters, which mark the end of a word."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    words, merges = str(folder.inside(TABLE)), str(folder.inside(MERGES))
    if "</w>" in folder.inside(MERGES).read_text(encoding="utf-8"):
        model = Tokenizer(models.BPE.from_file(words, merges, unk_token="<unk>",
                                               end_of_word_suffix="</w>"))
        model.normalizer = normalizers.BertNormalizer(lowercase=True)
        model.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        model.decoder = decoders.BPEDecoder(suffix="</w>")
        return model
    model = Tokenizer(models.BPE.from_file(words, merges))
    space = bool(config.get("add_prefix_space", False))
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=space)
    model.decoder = decoders.ByteLevel()
    return model


def write(tokenizer: Tokenizer, kept: Path, folder: Path) -> list[str]:
    """Writes a tokenizer's files into a directory. kept: where the original ones lie, if anywhere.

    Returns:
      Lines about what could not be written.
    """
    originals = [name for name in FILES if (kept / name).is_file()]
    for name in originals:
        shutil.copyfile(kept / name, folder / name)
    if originals:
        return []
    if isinstance(tokenizer.spec, HuggingFace):
        (folder / FILE).write_bytes(tokenizer.content[FILE])
        about = {"tokenizer_class": "PreTrainedTokenizerFast",
                 **json.loads(tokenizer.content[CONFIG_FILE])}
        text = json.dumps(about, indent=2, ensure_ascii=False)
        (folder / CONFIG_FILE).write_text(text + "\n", encoding="utf-8")
        return []
    if isinstance(tokenizer.spec, (PiecesFile, Pieces)):
        (folder / PIECES[0]).write_bytes(tokenizer.content[MODEL_FILE])
        return []
    if isinstance(tokenizer.spec, NoText):
        return []
    return [f"{type(tokenizer.spec).__name__} is no kind of tokenizer that Hugging Face reads; "
            "give the model token ids"]
