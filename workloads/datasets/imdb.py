"""IMDB reviews: aclImdb/{train,test}/{pos,neg}/<id>_<rating>.txt, and a WordPiece tokenizer for them.

The tokenizer is `aclImdb/vocab.txt` where there is one (put BERT's own there); else a WordPiece vocabulary is trained
on the reviews at hand and kept beside the folder. Timing depends on the number of tokens alone, not on which they are.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from workloads.base import DataError
from workloads.datasets.imagenet import Files
from workloads.datasets.synthetic import ensure, is_synthetic, kept_text

if TYPE_CHECKING:
    import numpy as np
    from tokenizers import Tokenizer

FOLDER = "aclImdb"
SENTIMENTS = ("neg", "pos")
VOCABULARY = 30_522
"""Entries of BERT-base's vocabulary, the most a trained one may have."""
REVIEWS_TO_TRAIN_ON = 2_000
REVIEW_BYTES = 1_300
"""An average review: 230 words."""


def sample(data_root: str | Path, count: int, *, seed: int = 0) -> Files:
    """`count` training reviews as UTF-8 bytes, label 1 = positive; generated where missing."""
    import numpy as np

    folder = ensure(Path(data_root) / FOLDER, write)
    rng = np.random.default_rng(seed)
    labels = tuple(int(label) for label in rng.integers(0, 2, count))
    paths = []
    for label in labels:
        reviews = reviews_of(folder / "train" / SENTIMENTS[label])
        paths.append(reviews[int(rng.integers(len(reviews)))])
    return Files(tuple(path.read_bytes() for path in paths), tuple(map(str, paths)), labels, is_synthetic(folder))


@lru_cache(maxsize=4)
def reviews_of(folder: Path) -> list[Path]:
    """The reviews of one sentiment, sorted; kept, since there are 12,500."""
    reviews = sorted(folder.glob("*.txt"))
    if not reviews:
        raise DataError(f"{folder} has no reviews; expected {folder}/*.txt.")
    return reviews


def text_of(data: bytes, name: str) -> str:
    """A review without its HTML line breaks; DataError that names the file where it is not UTF-8."""
    try:
        return data.decode("utf-8").replace("<br />", " ")
    except UnicodeDecodeError as error:
        raise DataError(f"{name} is not UTF-8 text: {error}; replace or remove it.") from error


def vocabulary(data_root: str | Path) -> str:
    """The tokenizer of the reviews under the root, as JSON; trained and kept at the first call."""
    folder = ensure(Path(data_root) / FOLDER, write)
    return kept_text(folder.parent / f"{FOLDER}-wordpiece.json", lambda: str(trained_tokenizer(folder).to_str()))


def trained_tokenizer(folder: Path) -> Tokenizer:
    """WordPiece with BERT's normaliser and special tokens, from vocab.txt or the first reviews of each sentiment."""
    from tokenizers.implementations import BertWordPieceTokenizer

    if (folder / "vocab.txt").exists():
        return BertWordPieceTokenizer(str(folder / "vocab.txt"))._tokenizer
    paths = [path for name in SENTIMENTS for path in reviews_of(folder / "train" / name)[: REVIEWS_TO_TRAIN_ON // 2]]
    tokenizer = BertWordPieceTokenizer()
    texts = (text_of(path.read_bytes(), str(path)) for path in paths)
    tokenizer.train_from_iterator(texts, vocab_size=VOCABULARY, show_progress=False)
    return tokenizer._tokenizer


@lru_cache(maxsize=2)
def tokenizer_of(vocabulary_json: str, length: int) -> Tokenizer:
    """The tokenizer that cuts and pads to `length` tokens."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(vocabulary_json)
    tokenizer.enable_truncation(length)
    tokenizer.enable_padding(length=length, pad_token="[PAD]", pad_id=tokenizer.token_to_id("[PAD]"))
    return tokenizer


def tokenise(texts: list[str], vocabulary_json: str, length: int) -> dict[str, np.ndarray]:
    """`input_ids` and `attention_mask`, int64 (texts, length) each."""
    import numpy as np

    tokenizer = tokenizer_of(vocabulary_json, length)
    # One by one: encode_batch would start threads on every core, and a task has only those it was granted.
    encoded = [tokenizer.encode(text) for text in texts]
    return {
        "input_ids": np.array([one.ids for one in encoded], dtype=np.int64),
        "attention_mask": np.array([one.attention_mask for one in encoded], dtype=np.int64),
    }


def encoded_bytes(count: int, length: int) -> float:
    """Bytes that tokenising writes: an id and a mask of 8 bytes each a token."""
    return 16.0 * count * length


def write(folder: Path, *, per_sentiment: int = 100, seed: int = 0) -> None:
    """Writes reviews of made-up words, whose frequencies follow Zipf's law, in the layout of aclImdb."""
    import numpy as np

    rng = np.random.default_rng(seed)
    words = made_up_words(rng, 4_000)
    frequency = 1 / np.arange(1, len(words) + 1)
    frequency /= frequency.sum()
    for split in ("train", "test"):
        for sentiment, rating in zip(SENTIMENTS, (2, 9), strict=True):
            target = folder / split / sentiment
            target.mkdir(parents=True)
            for number in range(per_sentiment):
                length = int(rng.lognormal(5.25, 0.6))  # median 190 words, mean about 230, as IMDB's
                review = rng.choice(words, max(8, length), p=frequency)
                (target / f"{number}_{rating}.txt").write_text(prose(review), encoding="utf-8")


def made_up_words(rng: np.random.Generator, count: int) -> list[str]:
    """Words of one to three syllables; the most frequent ones are the shortest."""
    consonants, vowels = list("bcdfghklmnprstvw"), list("aeiou")
    words: dict[str, None] = {}
    while len(words) < count:
        syllables = 1 if len(words) < 150 else 2 if len(words) < 1_500 else 3  # 300 words of one exist
        letters = zip(rng.choice(consonants, syllables), rng.choice(vowels, syllables), strict=True)
        words["".join(c + v for c, v in letters) + str(rng.choice(["", "n", "s", "t"]))] = None
    return list(words)


def prose(words: np.ndarray) -> str:
    """Sentences of twelve words; every third ends with the line break that IMDB's reviews have."""
    sentences = [" ".join(words[start : start + 12]).capitalize() + "." for start in range(0, len(words), 12)]
    return " ".join(s + ("<br /><br />" if number % 3 == 2 else "") for number, s in enumerate(sentences))
