"""Losses: functions ``(logits, target, **options) -> scalar``, and the table that names them.

Each takes logits [b, r, h, w], never probabilities, and masks [b, r, h, w] of 0 and 1 in any dtype.
The r regions are separate binary problems, since regions overlap. Whatever autocast chose for the
network, a loss is computed at least in float32: Dice sums over hundreds of thousands of pixels,
which half precision cannot count. A loss is never negative, and moving a logit towards the truth
never raises it; the property tests hold every loss in `LOSSES` to that.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import torch
from torch import Tensor
from torch.nn import functional

from mriseg.errors import ConfigError, UnknownNameError

Loss = Callable[[Tensor, Tensor], Tensor]


def bce(logits: Tensor, target: Tensor, pos_weight: float | Tensor = 1.0) -> Tensor:
    """Binary cross-entropy, the mean over all pixels.

    Args:
        logits: [b, r, h, w].
        target: [b, r, h, w] in {0, 1}.
        pos_weight: weight of a foreground pixel relative to a background pixel; a number, or a
            tensor [r] with one per region. The balanced choice is background over foreground.
    """
    logits, target = _prepared(logits, target)
    if isinstance(pos_weight, Tensor):
        weight = pos_weight.to(logits).reshape(-1, 1, 1)
    else:
        # Filled on the device: a copy from the host would synchronise at every step.
        weight = logits.new_full((1, 1, 1), pos_weight)
    return functional.binary_cross_entropy_with_logits(logits, target, pos_weight=weight)


def dice(logits: Tensor, target: Tensor, smooth: float = 1.0, batch: bool = True) -> Tensor:
    """Soft Dice (Milletari et al. 2016, arXiv 1606.04797, without the squares), mean over regions.

    Args:
        logits: [b, r, h, w].
        target: [b, r, h, w] in {0, 1}.
        smooth: added to numerator and denominator, in pixels; makes zero over zero 1.
        batch: one Dice per region over the whole batch rather than one per slice. A slice without
            tumour gives no useful Dice of its own; in a batch its false positives count.
    """
    # With equal weights for both kinds of error, the Tversky index is Dice. The smoothing is halved
    # because numerator and denominator are half of those of Dice.
    return tversky(logits, target, alpha=0.5, beta=0.5, smooth=smooth / 2, batch=batch)


def tversky(
    logits: Tensor,
    target: Tensor,
    alpha: float = 0.3,
    beta: float = 0.7,
    smooth: float = 1.0,
    batch: bool = True,
) -> Tensor:
    """Tversky loss (Salehi et al. 2017, arXiv 1706.05721), mean over regions.

    Args:
        logits: [b, r, h, w].
        target: [b, r, h, w] in {0, 1}.
        alpha: the weight of false positives.
        beta: the weight of false negatives; above ``alpha`` it favours sensitivity.
        smooth: added to numerator and denominator, in pixels.
        batch: one index per region over the whole batch rather than one per slice; see `dice`.
    """
    logits, target = _prepared(logits, target)
    probability = logits.sigmoid()
    axes = (0, 2, 3) if batch else (2, 3)
    hit = (probability * target).sum(axes)
    false_positive = (probability * (1 - target)).sum(axes)
    missed = ((1 - probability) * target).sum(axes)
    # 1 - (hit + s) / (hit + errors + s), written so that rounding cannot make it negative.
    errors = alpha * false_positive + beta * missed
    return (errors / (hit + errors + smooth)).mean()


def focal(logits: Tensor, target: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Focal loss (Lin et al. 2017, arXiv 1708.02002, equation 5), the mean over all pixels.

    Args:
        logits: [b, r, h, w].
        target: [b, r, h, w] in {0, 1}.
        alpha: the weight of the foreground, in [0, 1]; the background's is ``1 - alpha``.
        gamma: how strongly well-classified pixels are down-weighted; 0 is plain cross-entropy.
    """
    logits, target = _prepared(logits, target)
    # Logarithms throughout: p_t near 0 or 1 would lose its gradient, or make it infinite.
    towards_truth = logits * (2 * target - 1)
    log_p = functional.logsigmoid(towards_truth)
    log_one_minus_p = functional.logsigmoid(-towards_truth)
    weight = alpha * target + (1 - alpha) * (1 - target)
    return (weight * torch.exp(gamma * log_one_minus_p) * -log_p).mean()


LOSSES: Mapping[str, Callable[..., Tensor]] = MappingProxyType(
    {"bce": bce, "dice": dice, "focal": focal, "tversky": tversky}
)


@dataclass(frozen=True)
class LossSpec:
    """A weighted sum of named losses.

    Attributes:
        terms: (weight, name) of each, in the order in which they were given.
    """

    terms: tuple[tuple[float, str], ...]

    def __str__(self) -> str:
        return "+".join(
            name if weight == 1 else f"{weight:g}*{name}" for weight, name in self.terms
        )

    @property
    def weighs_positives(self) -> bool:
        """Whether a term takes ``pos_weight``."""
        return any(_weighs(name) for _, name in self.terms)


def parse_loss(text: str) -> LossSpec:
    """Parse ``"bce+dice"``, ``"0.5*bce+dice"`` and the like.

    Raises:
        UnknownNameError: a loss that is not in `LOSSES`.
        ConfigError: a weight that is not a positive number, or a loss named twice.
    """
    terms = [_term(part, text) for part in text.split("+")]
    names = [name for _, name in terms]
    if len(set(names)) < len(names):
        raise ConfigError(f"the loss {text!r} names a term twice; give it once, with one weight")
    return LossSpec(tuple(terms))


def build_loss(spec: LossSpec, pos_weight: float | Tensor = 1.0) -> Loss:
    """The function ``(logits, target) -> scalar`` that ``spec`` describes.

    Args:
        spec: from `parse_loss`.
        pos_weight: passed to the terms that take one (`bce`); the others need none.
    """
    terms = []
    for weight, name in spec.terms:
        function = LOSSES[name]
        if _weighs(name):
            function = partial(function, pos_weight=pos_weight)
        terms.append((weight, function))

    def loss(logits: Tensor, target: Tensor) -> Tensor:
        return torch.stack([weight * term(logits, target) for weight, term in terms]).sum()

    return loss


def _weighs(name: str) -> bool:
    return "pos_weight" in inspect.signature(LOSSES[name]).parameters


def _prepared(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    if logits.shape != target.shape:
        raise ConfigError(
            f"logits of shape {tuple(logits.shape)} and a target of shape {tuple(target.shape)} "
            f"do not belong together; both must be [batch, region, height, width]"
        )
    wide = torch.promote_types(logits.dtype, torch.float32)
    return logits.to(wide), target.to(wide)


def _term(part: str, text: str) -> tuple[float, str]:
    before, star, after = part.partition("*")
    name = (after if star else before).strip()
    if name not in LOSSES:
        raise UnknownNameError(
            f"there is no loss {name!r} in {text!r}; known: {', '.join(sorted(LOSSES))}, "
            f"alone or as a sum such as '0.5*bce+dice'"
        )
    try:
        weight = float(before) if star else 1.0
    except ValueError:
        weight = math.nan
    if not (math.isfinite(weight) and weight > 0):
        raise ConfigError(
            f"{before.strip()!r} in the loss {text!r} is not a weight; "
            f"give a positive number, as in '0.5*{name}'"
        )
    return weight, name
