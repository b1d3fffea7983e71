"""BERT on IMDB."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from placement.spec.task import Operation
from workloads.base import Batch, pipeline_operation
from workloads.datasets import imdb
from workloads.network_preset import NetworkPreset, Shapes
from workloads.networks import Network
from workloads.steps import Inputs

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, kw_only=True)
class TextPreset(NetworkPreset):
    """length: tokens of each review, cut or padded.

    Decoded inputs: `input_ids` and `attention_mask`, int64 (batch, length).
    """

    family = "text"
    dataset = "aclImdb"
    workload = "bert_imdb"
    sizes = "l{preset.length}"

    length: int

    @property
    def network(self) -> Network:
        """BERT; its weights do not depend on the length."""
        return Network("bert", self.width)

    def files(self, data_root: str | Path) -> Batch:
        """Training reviews, with the tokenizer."""
        return reviews(data_root, self.batch)

    def decode(self, batch: Batch) -> Inputs:
        """The reviews tokenised."""
        import numpy as np

        return Inputs(tokenised(batch, self.length), np.array(batch.labels, np.int64))

    def shapes(self) -> Shapes:
        """Without the attention mask: transformers looks at its values, and a trace has none."""
        return {"input_ids": ((self.batch, self.length), "int64")}

    def pipeline(self) -> Operation | None:
        """The ids and the mask that the tokenizer writes."""
        return pipeline_operation(imdb.encoded_bytes(self.batch, self.length)) if self.loader else None


def reviews(data_root: str | Path, count: int) -> Batch:
    """A batch of reviews as files, with the tokenizer's vocabulary."""
    found = imdb.sample(data_root, count)
    vocabulary = imdb.vocabulary(data_root)
    return Batch("aclImdb", found.synthetic, {}, found.files, found.names, found.labels, vocabulary)


def tokenised(batch: Batch, length: int) -> dict[str, np.ndarray]:
    """A batch of reviews as `input_ids` and `attention_mask`."""
    texts = [imdb.text_of(data, name) for data, name in zip(batch.files, batch.names, strict=True)]
    return imdb.tokenise(texts, batch.vocabulary or "", length)
