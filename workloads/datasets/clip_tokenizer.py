"""The tokenizer of CLIP: a lower-cased byte-level BPE whose start and end of a text are its two highest ids.

CLIP reads a text's embedding at the highest id of its tokens, which is the first end of a text: padding repeats it.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from tokenizers import Tokenizer

VOCABULARY = 49_408
"""Entries of CLIP's vocabulary, the most a trained one may have."""
START, END = "<|startoftext|>", "<|endoftext|>"


def trained(texts: Iterable[str], own: Path) -> str:
    """A tokenizer as JSON: of the folder's own vocab.json and merges.txt where they are, else trained on the texts."""
    from tokenizers import AddedToken
    from tokenizers.implementations import ByteLevelBPETokenizer
    from tokenizers.processors import TemplateProcessing

    if (own / "vocab.json").exists():
        from transformers import CLIPTokenizer

        tokenizer = CLIPTokenizer.from_pretrained(str(own), local_files_only=True).backend_tokenizer
    else:
        made = ByteLevelBPETokenizer(add_prefix_space=True, lowercase=True)
        made.train_from_iterator(texts, vocab_size=VOCABULARY - 2, min_frequency=2, show_progress=False)
        tokenizer = made._tokenizer
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in (START, END)])
    ids = [(token, tokenizer.token_to_id(token)) for token in (START, END)]
    tokenizer.post_processor = TemplateProcessing(single=f"{START} $A {END}", special_tokens=ids)
    return str(tokenizer.to_str())


@lru_cache(maxsize=2)
def of_length(vocabulary_json: str, length: int) -> Tokenizer:
    """The tokenizer that cuts and pads to `length` tokens."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(vocabulary_json)
    tokenizer.enable_truncation(length)
    tokenizer.enable_padding(length=length, pad_token=END, pad_id=tokenizer.token_to_id(END))
    return tokenizer


def tokenise(texts: list[str], vocabulary_json: str, length: int) -> dict[str, np.ndarray]:
    """`input_ids` and `attention_mask`, int64 (texts, length) each."""
    import numpy as np

    tokenizer = of_length(vocabulary_json, length)
    encoded = [tokenizer.encode(text) for text in texts]  # one by one: encode_batch would start threads on every core
    return {
        "input_ids": np.array([one.ids for one in encoded], dtype=np.int64),
        "attention_mask": np.array([one.attention_mask for one in encoded], dtype=np.int64),
    }
