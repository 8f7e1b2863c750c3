"""The convex head: multinomial logistic regression on frozen vectors, L2-regularised, fitted by L-BFGS in numpy.

Minimises sum_i w_i (-log softmax(V x_i + b)[y_i]) + ridge / 2 |V|^2 (Bishop, Pattern Recognition and Machine Learning,
4.3.4) by limited-memory BFGS with a backtracking line search (Nocedal and Wright, Numerical Optimization, 2nd ed.,
algorithms 7.4 and 3.1).  Every class weighs the same however many rows it has: the answer does not depend on how large
the bank of `other` pictures is.  What is said of a row is the margin of a label over `other`, the log-odds of the two:
labels do not compete for it, so several may be reached.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

MEMORY: Final = 10
"""Pairs of steps and gradients that stand for the curvature."""
STEPS: Final = 120
"""Most steps: with 16 labels of 20 pictures the answers stand still after 60."""
TOLERANCE: Final = 1e-4
"""Of the gradient's largest component, per unit of weight, where the fit ends."""
ARMIJO: Final = 1e-4
HALVINGS: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """``weights`` dimension x classes and ``bias`` classes, float32; class 0 is `other`."""

    weights: Floats
    bias: Floats

    def margins(self, rows: Floats) -> Floats:
        """Return n x labels: each label's log-odds over `other` for n x dimension rows."""
        logits = rows @ self.weights + self.bias
        return np.asarray(logits[:, 1:] - logits[:, :1], dtype=np.float32)


def class_weights(classes: NDArray[np.intp], count: int) -> Floats:
    """Return each row's weight: every class that has rows weighs as much as every other, all together one a class."""
    sizes = np.bincount(classes, minlength=count)
    return np.asarray(1.0 / sizes[classes], dtype=np.float32)


def fit_head(
    rows: Floats,
    classes: NDArray[np.intp],
    count: int,
    *,
    ridge: float,
    weights: Floats | None = None,
    start: Head | None = None,
) -> Head:
    """Fit n x dimension rows of ``count`` classes (0: `other`).

    ``weights`` of the rows are the classes' equal shares where not given; ``start`` is where a similar fit ended.
    Raises ValueError for a class without rows.
    """
    if len(np.unique(classes)) != count:
        raise ValueError("every class needs a row")
    weighing = class_weights(classes, count) if weights is None else weights
    problem = _Problem(rows, classes, count, weighing, ridge)
    first = np.zeros((rows.shape[1] + 1, count), np.float32)
    if start is not None:
        first[:-1], first[-1] = start.weights, start.bias
    found = _minimise(problem, first)
    return Head(weights=found[:-1], bias=found[-1])


@dataclass(frozen=True, slots=True)
class _Problem:
    rows: Floats
    classes: NDArray[np.intp]
    count: int
    weights: Floats
    ridge: float

    def value_and_gradient(self, at: Floats) -> tuple[float, Floats]:
        logits = self.rows @ at[:-1] + at[-1]
        logits -= logits.max(axis=1, keepdims=True)
        odds = np.exp(logits)
        total = odds.sum(axis=1)
        own = np.arange(len(self.classes)), self.classes
        loss = float((self.weights * (np.log(total) - logits[own])).sum(dtype=np.float64))
        error = odds / total[:, None]
        error[own] -= 1.0
        error *= self.weights[:, None]
        gradient = np.empty_like(at)
        gradient[:-1] = self.rows.T @ error + self.ridge * at[:-1]
        gradient[-1] = error.sum(axis=0)
        penalty = self.ridge / 2 * float((at[:-1].astype(np.float64) ** 2).sum())
        return loss + penalty, gradient


def _minimise(problem: _Problem, start: Floats) -> Floats:
    at = start
    value, gradient = problem.value_and_gradient(at)
    steps: list[Floats] = []
    changes: list[Floats] = []
    for _ in range(STEPS):
        if float(np.abs(gradient).max()) <= TOLERANCE:
            break
        direction = -_curved(gradient, steps, changes)
        slope = float(np.vdot(direction, gradient))
        if slope >= 0:  # rounding has spoilt the curvature: begin again with the gradient
            steps, changes = [], []
            direction, slope = -gradient, -float(np.vdot(gradient, gradient))
        length = 1.0 if steps else min(1.0, 1.0 / float(np.abs(gradient).sum()))
        for _ in range(HALVINGS):
            candidate = at + np.float32(length) * direction
            reached, slant = problem.value_and_gradient(candidate)
            if reached <= value + ARMIJO * length * slope:
                break
            length /= 2
        else:
            break  # as low as float32 can tell
        step, change = candidate - at, slant - gradient
        if float(np.vdot(step, change)) > 1e-10:
            steps, changes = [*steps, step][-MEMORY:], [*changes, change][-MEMORY:]
        at, value, gradient = candidate, reached, slant
    return at


def _curved(gradient: Floats, steps: list[Floats], changes: list[Floats]) -> Floats:
    """The two-loop recursion: the inverse Hessian, as far as the last steps tell it, times the gradient."""
    if not steps:
        return gradient
    direction = gradient.copy()
    shares = []
    for step, change in zip(reversed(steps), reversed(changes), strict=True):
        share = float(np.vdot(step, direction)) / float(np.vdot(step, change))
        shares.append(share)
        direction -= np.float32(share) * change
    direction *= np.float32(np.vdot(steps[-1], changes[-1]) / np.vdot(changes[-1], changes[-1]))
    for step, change, share in zip(steps, changes, reversed(shares), strict=True):
        direction += np.float32(share - float(np.vdot(change, direction)) / float(np.vdot(step, change))) * step
    return direction
