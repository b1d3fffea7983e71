"""Boosted regression trees as plain data, and how they are asked: no walk down a tree, but one AND for each input.

The leaves of a tree are numbered from left to right, a bit each. A split says which leaves its left part has; a task
whose value is above its threshold cannot end in them. So what is left is the AND of the masks of all splits that say
"above", and the task ends in the first leaf left (QuickScorer: Lucchese et al., SIGIR 2015). For each input the masks
are ANDed beforehand in the order of their thresholds: a value is looked up by bisection, for all trees at once.
"""

from __future__ import annotations

import reprlib
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import pairwise
from typing import Any

MOST_LEAVES = 32
MOST_TREES = 500  # all their splits on one input make a table of some 30 MB
LARGEST_NUMBER = 1e6  # of a threshold or a leaf, which are logarithms
LARGEST_SUM = 700.0
"""No sum of trees may reach further: it is a logarithm, and a float holds no more than e to that."""
UNKNOWN = -100.0
"""Value of an unknown input (natural logarithms lie far above): trees give it branches of its own."""


@dataclass(frozen=True, slots=True)
class Tree:
    """splits: (input, threshold, first, end): where the input is above the threshold, leaves first to end - 1 are out.

    values: of the leaves, from left to right.
    """

    splits: tuple[tuple[int, float, int, int], ...]
    values: tuple[float, ...]

    def fault(self, inputs: int) -> str | None:
        """The first fault of the tree, given the number of inputs; None where there is none."""
        count = len(self.values)
        if not 0 < count <= MOST_LEAVES:
            return f"a tree has {count} leaves; from 1 to {MOST_LEAVES} are valid"
        for which, _, first, end in self.splits:
            # The last leaf is in no left part: so one leaf is always left.
            if not (0 <= which < inputs and 0 <= first < end < count):
                return (
                    f"a split of input {which}, leaves {first} to {end}: {inputs} inputs and {count} leaves are there"
                )
        return None


def declared_fields(model: Any) -> dict[str, Any]:
    """The pickled state of a dataclass: its fields, without the cached properties, which are ten times larger and soon
    worked out again.
    """
    return {field.name: model.__dict__[field.name] for field in fields(model)}


@dataclass(frozen=True)
class Forest:
    """Several sums of trees over the same inputs, asked together. ends: sum number i is of trees ends[i-1] to ends[i].

    bases: added to each sum.
    """

    inputs: int
    trees: tuple[Tree, ...]
    ends: tuple[int, ...]
    bases: tuple[float, ...]

    __getstate__ = declared_fields

    @cached_property
    def tables(self) -> list[tuple[list[float], Any]]:
        """The thresholds of each input in order, and its (thresholds + 1, trees) masks of the leaves that are left.

        The first leaf is the highest bit, so that the first one left is the exponent of the mask as a float.
        """
        import numpy as np

        tables = []
        for which in range(self.inputs):
            found = sorted(
                (threshold, number, 0xFFFFFFFF ^ (0xFFFFFFFF >> first) ^ (0xFFFFFFFF >> end))
                for number, tree in enumerate(self.trees)
                for of, threshold, first, end in tree.splits
                if of == which
            )
            thresholds = sorted({threshold for threshold, _, _ in found})
            masks = np.full((len(thresholds) + 1, len(self.trees)), 0xFFFFFFFF, np.uint32)
            place = {threshold: row for row, threshold in enumerate(thresholds, 1)}
            for threshold, number, mask in found:
                masks[place[threshold], number] &= np.uint32(mask)
            tables.append((thresholds, np.bitwise_and.accumulate(masks, axis=0)))
        return tables

    @cached_property
    def leaves(self) -> Any:
        """(trees * MOST_LEAVES,): the values of all leaves, each tree's last first."""
        import numpy as np

        values = np.zeros((len(self.trees), MOST_LEAVES))
        for row, tree in zip(values, self.trees, strict=True):
            row[::-1][: len(tree.values)] = tree.values
        return values.ravel()

    @cached_property
    def _starts(self) -> Any:
        """The start of each tree's leaves, less the bias of a float's exponent."""
        import numpy as np

        return np.arange(len(self.trees), dtype=np.int64) * MOST_LEAVES - 1023

    def reach(self) -> list[float]:
        """The largest absolute value that each sum could take."""
        largest = [max(abs(value) for value in tree.values) for tree in self.trees]
        spans = pairwise((0, *self.ends))
        return [abs(base) + sum(largest[first:end]) for base, (first, end) in zip(self.bases, spans, strict=True)]

    def left(self, values: Mapping[int, float]) -> Any:
        """(trees,): the leaves left by these inputs; None for no input at all."""
        masks = None
        for which, value in values.items():
            thresholds, table = self.tables[which]
            row = table[bisect_left(thresholds, value)]
            masks = row if masks is None else masks & row
        return masks

    @cached_property
    def _which(self) -> Any:
        """(trees, sums): 1 where a tree belongs to a sum."""
        import numpy as np

        which = np.zeros((len(self.trees), len(self.ends)))
        for number, (start, end) in enumerate(pairwise((0, *self.ends))):
            which[start:end, number] = 1.0
        return which

    def sums(self, left: Any) -> Any:
        """(n, sums): each sum of the leaves left, (n, trees)."""
        as_float, as_integer = self._types
        place = left.astype(as_float).view(as_integer)  # exact
        place >>= 52
        place += self._starts
        found: Any = self.leaves.take(place).dot(self._which)
        return found + self._bases

    @cached_property
    def _types(self) -> Any:
        """A float and a whole number of 64 bits, as NumPy reads them fastest."""
        import numpy as np

        return np.dtype("f8"), np.dtype("i8")

    @cached_property
    def _bases(self) -> Any:
        import numpy as np

        return np.array(self.bases)

    def predict(self, values: Any) -> Any:
        """(n, sums): each sum for inputs (n, inputs)."""
        import numpy as np

        left = np.full((len(values), len(self.trees)), 0xFFFFFFFF, np.uint32)
        for column, (thresholds, table) in zip(values.T, self.tables, strict=True):
            left &= table[np.searchsorted(np.array(thresholds), column, side="left")]
        return self.sums(left)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, as the selector file has it."""
        return {
            "trees": [{"splits": [list(split) for split in t.splits], "values": list(t.values)} for t in self.trees],
            "ends": list(self.ends),
            "bases": list(self.bases),
        }


def forest_of(data: Mapping[str, Any], inputs: int, sums: Sequence[int]) -> Forest:
    """The Forest of `to_dict`'s content; ValueError says the first fault. sums: how many it may have."""
    import numpy as np

    try:
        trees = tuple(
            Tree(
                tuple((int(which), float(at), int(first), int(end)) for which, at, first, end in one["splits"]),
                tuple(float(value) for value in one["values"]),
            )
            for one in data["trees"]
        )
        ends, bases = tuple(int(end) for end in data["ends"]), tuple(float(base) for base in data["bases"])
    except (KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"its trees are not as they should be: {str(error)[:200]}") from None
    if len(trees) > MOST_TREES:
        raise ValueError(f"it has {len(trees)} trees; {MOST_TREES} is the most")
    counts = {len(ends), len(bases)}
    if len(counts) > 1 or not counts <= {*sums} or [0, *sorted(ends)] != [0, *ends] or [*ends][-1:] != [len(trees)]:
        raise ValueError(
            f"its {len(trees)} trees do not make {' or '.join(map(str, sums))} sums at {reprlib.repr(list(ends))}"
        )
    if fault := next((fault for tree in trees if (fault := tree.fault(inputs))), None):
        raise ValueError(fault)
    numbers: Sequence[float] = [*bases, *(v for t in trees for v in t.values), *(s[1] for t in trees for s in t.splits)]
    if not (np.abs(numbers) <= LARGEST_NUMBER).all():  # nor is NaN
        raise ValueError(f"its trees hold numbers that are not finite or beyond {LARGEST_NUMBER:g}")
    forest = Forest(inputs, trees, ends, bases)
    if max(forest.reach()) > LARGEST_SUM:
        raise ValueError(f"its sums of trees reach {max(forest.reach()):.3g}; {LARGEST_SUM:g} is the most")
    return forest
