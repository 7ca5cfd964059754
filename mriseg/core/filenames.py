"""What the name of a file says of its content: a modality, a segmentation, or why neither.

All words of a name count, not the last alone: ``my_scan_FLAIR_AX`` is FLAIR,
``T1_to_FLAIR`` is T1, ``lesion_mask_FLAIR`` is a segmentation, ``brain_mask`` is none to learn
from. A name that could be read in two ways is not read at all; the reason says so.

Entities of BIDS are understood (https://bids-specification.readthedocs.io): ``ce-`` makes a T1 a
T1CE, ``space-`` names no content.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from mriseg.core.modalities import MODALITIES, SEGMENTATION, aliases, canonical_modality

_WORD = re.compile(r"[^\s_.\-]+")
_ENTITY = re.compile(r"(?:^|_)(?P<key>[A-Za-z]+)-(?P<value>[A-Za-z0-9+.]+)")
# "T1toFLAIR": both sides are modalities.
_GLUED = re.compile(r"(?P<source>.+?)(?:to|2|in|regto|reg2|regin)(?P<target>.+)")
# "GOLD_STANDARD", "T1_weighted", "T1_post_contrast": no term has more words.
_MAX_WORDS = 3
# Only such words begin one: "A_seg" is the segmentation of A, and no "aseg".
_BEGINNINGS = (
    *("t1", "t2", "flair", "3d", "mr", "gold", "ground", "lesion", "tumor", "tumour", "brain"),
    *("head", "skull", "manual", "manually", "bet", "post", "dark"),
)


class _Kind(Enum):
    """What a word, or a few of them, says."""

    MODALITY = "modality"
    MASK = "mask"  # Says "mask" whatever else the name holds.
    LESION = "lesion"  # What may be masked, or whom the scan is of.
    BRAIN = "brain"
    OTHER = "other"  # Another sequence, a map, a field.
    CONTRAST = "contrast"
    POST = "post"  # After contrast, or after surgery.


_MASK_WORDS = (
    "seg segm segs segmentation segmentations mask masks msk label labels gt ot roi rois gtv dseg "
    "groundtruth goldstandard lesionmask lesionmasks lesionseg manualmask tumormask tumourmask "
    "tumorseg tumourseg manuallycorrected annotation annotations glistrboost maskout"
)
_LESION_WORDS = (
    "lesion lesions tumor tumour tumors tumours wmh consensus manual truth delineation contour"
)
_LESIONS = ("lesion", "tumor", "tumour", "wmh")
_BRAIN_WORDS = "brain head skull parenchyma bet icv intracranial fov"
_BRAIN_MASKS = "brainmask headmask skullmask brainseg betmask brainmasks aseg aparcaseg aparc"
_OTHER_WORDS = {
    "another sequence": (
        "adc dwi dti swi swan asl cbf cbv mtt rcbv dsc dce pwi perfusion tof bold qsm ktrans pet "
        "t2star t2starw t2s trace tensor stir gre hemo localizer localiser scout survey"
    ),
    "a map or a part of a signal": (
        "map maps mapping t1map t2map phase ph imaginary subtraction subtracted mip"
    ),
    "a probability map": "prob probs probability probabilities probseg softmax logits",
    "a transformation": "warp xfm jacobian deformation displacement",
}
_CONTRAST_WORDS = "gd gado gadolinium gadovist contrast enhanced postcontrast postgd ce km gad"
_NEGATIONS = {"pre", "non", "no", "none", "without", "native", "before"}
_NOT_CONTRAST = {"op", "operative", "operation", "surgery", "treatment", "rt", "resection"}
_JOINERS = {"to", "2", "in", "into", "on", "onto", "reg", "regto", "registered", "coreg", "aligned"}
# Before the words that state the role, they belong to them and name no subject.
_QUALIFIER_WORDS = (
    "automated auto approx final corrected native expert rater seg mask label desc axial ax "
    "sagittal sag coronal cor tra 3d 2d"
)
_QUALIFIERS = {*f"{_LESION_WORDS} {_BRAIN_WORDS} {_QUALIFIER_WORDS}".split()}
# Copies that published data sets hold beside the file that is meant.
_COPIES = {
    "bias": "a copy of other intensities (bias)",
    "unstripped": "a copy with the skull (unstripped)",
    "3dt1": "the T1 on a grid of its own (3DT1)",
    "automated": "a segmentation by a program (automated)",
    "glistrboost": "a segmentation by a program (GlistrBoost)",
}


def _table() -> dict[str, tuple[_Kind, str]]:
    words = dict.fromkeys(_MASK_WORDS.split(), (_Kind.MASK, SEGMENTATION))
    words |= dict.fromkeys(_LESION_WORDS.split(), (_Kind.LESION, SEGMENTATION))
    words |= dict.fromkeys(_BRAIN_WORDS.split(), (_Kind.BRAIN, ""))
    words |= dict.fromkeys(_BRAIN_MASKS.split(), (_Kind.OTHER, "brain"))
    words |= dict.fromkeys(_CONTRAST_WORDS.split(), (_Kind.CONTRAST, ""))
    for what, listed in _OTHER_WORDS.items():
        words |= dict.fromkeys(listed.split(), (_Kind.OTHER, what))
    words |= {"3dt1": (_Kind.MODALITY, "T1"), "post": (_Kind.POST, "")}
    return words


_TABLE = _table()


def word_meanings() -> dict[str, tuple[str, str]]:
    """Each word that says something alone -> its kind and its modality, for other programs."""
    named = {alias: (_Kind.MODALITY, name) for alias, name in aliases().items()}
    return {word: (kind.value, value) for word, (kind, value) in {**named, **_TABLE}.items()}


BRAIN_MASK = "a mask of the brain or head, not of a lesion"


@dataclass(frozen=True)
class NameReading:
    """What a name says.

    Attributes:
        role: a canonical modality, "seg", or None.
        subject: what precedes the words that state the role: whom the file is of, if anyone.
        reason: why there is no role.
        copy: what kind of copy the file is, where another of its role is to be preferred.
    """

    role: str | None
    subject: str = ""
    reason: str = ""
    copy: str = ""


@dataclass(frozen=True)
class _Term:
    """Words ``first`` to ``last`` of a name, which say something together."""

    kind: _Kind
    value: str
    first: int
    last: int


def words_of(stem: str) -> tuple[str, ...]:
    """The words of a name, in lower case."""
    return tuple(match.group().lower() for match in _WORD.finditer(stem))


def entities(stem: str) -> Mapping[str, str]:
    """The entities of a BIDS name, such as ``{"sub": "01", "ses": "2"}``; empty without a sub."""
    pairs = {match["key"].lower(): match["value"] for match in _ENTITY.finditer(stem)}
    return pairs if "sub" in pairs else {}


def common_words(stems: Iterable[str]) -> frozenset[str]:
    """The words that all of several names share, which tell none from another."""
    sets = [frozenset(words_of(stem)) for stem in stems]
    return frozenset.intersection(*sets) if len(sets) > 1 else frozenset()


def read_name(stem: str, common: frozenset[str] = frozenset()) -> NameReading:
    """What a file's name says of its content.

    Args:
        stem: the name without its ending.
        common: words that all files beside it share; they decide nothing where the rest does.
    """
    words = list(words_of(stem))
    vsd = len(words) > 1 and words[0] == "vsd"
    if vsd:
        # BraTS 2013 to 2015: VSD.Brain.XX.O.MR_Flair.54512 and VSD.Brain_3more.XX.O.OT.54517.
        words = [word if word not in ("vsd", "brain") else "" for word in words]
    reading, first = _read(words, stem)
    if reading.role is None and common and reading.reason != BRAIN_MASK:
        rest = [word if word not in common else "" for word in words]
        again, start = _read(rest, stem)
        if again.role is not None:
            reading, first = again, start
    if reading.role is None:
        return reading
    subject = "" if vsd else _before(stem, words, first)
    copies = [_COPIES[word] for word in words if word in _COPIES]
    corrected = "manuallycorrected" in words
    return NameReading(reading.role, subject, copy=copies[0] if copies and not corrected else "")


def _before(stem: str, words: Sequence[str], first: int) -> str:
    while first > 0 and _qualifies(words, first - 1):
        first -= 1
    starts = [match.start() for match in _WORD.finditer(stem)]
    return stem[: starts[first]].rstrip("_-. ")


def _qualifies(words: Sequence[str], index: int) -> bool:
    """Whether a word belongs to what follows and names no subject: of contrast, of a mask."""
    word, following = words[index], words[index + 1]
    contrast = {w for w in (word, following) if _TABLE.get(w, (None,))[0] is _Kind.CONTRAST}
    about_contrast = word in contrast or (word in {*_NEGATIONS, "post"} and following in contrast)
    return word in _QUALIFIERS or about_contrast


def _read(words: Sequence[str], stem: str) -> tuple[NameReading, int]:
    """The reading without subject and copy; and the first word that states the role."""
    terms = _terms(words)
    others = [term for term in terms if term.kind is _Kind.OTHER]
    if any(term.value == "brain" for term in others) or _masks_the_brain(words, terms):
        return NameReading(None, reason=BRAIN_MASK), 0
    modalities = _modalities(words, terms)
    masks = [term for term in terms if term.kind is _Kind.MASK]
    lesions = [term for term in terms if term.kind is _Kind.LESION]
    if others:
        word = "".join(words[others[0].first : others[0].last + 1])
        return NameReading(None, reason=f"{others[0].value} ({word})"), 0
    if masks or (lesions and not modalities):
        return NameReading(SEGMENTATION), min(
            term.first for term in (*masks, *lesions, *modalities)
        )
    if lesions and lesions[-1].first > modalities[-1].last:
        return NameReading(SEGMENTATION), modalities[0].first
    return _image(words, stem, modalities, lesions)


def _image(
    words: Sequence[str], stem: str, modalities: Sequence[_Term], lesions: Sequence[_Term]
) -> tuple[NameReading, int]:
    stated = {term.value for term in modalities}
    if not stated:
        reason = f"its name states neither a modality ({', '.join(MODALITIES)}) nor a segmentation"
        return NameReading(None, reason=reason), 0
    if lesions:
        word = words[lesions[0].first]
        return NameReading(None, reason=f"its name holds both {word} and {min(stated)}"), 0
    if stated == {"T2", "FLAIR"}:
        stated = {"FLAIR"}  # It is T2-weighted, and many name it so.
    if stated == {"T1"} and _with_contrast(words, stem, modalities):
        stated = {"T1CE"}
    if len(stated) > 1:
        both = " and ".join(sorted(stated))
        return NameReading(None, reason=f"its name holds both {both}"), 0
    return NameReading(stated.pop()), modalities[0].first


def _terms(words: Sequence[str]) -> list[_Term]:
    """What the words say, the longest terms first where they overlap."""
    terms: list[_Term] = []
    start = 0
    while start < len(words):
        for count in range(min(_MAX_WORDS, len(words) - start), 0, -1):
            piece = words[start : start + count]
            # "T1_post" may go on with "op"; a single "t1post" may not.
            joined = piece[0] in _BEGINNINGS and piece[-1] != "post"
            whole = all(piece) and (count == 1 or joined)
            meaning = _meaning("".join(piece)) if whole else None
            if meaning is not None:
                terms.append(_Term(*meaning, start, start + count - 1))
                start += count
                break
        else:
            start += 1
    return terms


def _meaning(text: str) -> tuple[_Kind, str] | None:
    if text in _TABLE:
        return _TABLE[text]
    name = canonical_modality(text)
    if name in MODALITIES:
        return _Kind.MODALITY, name
    if glued := _GLUED.fullmatch(text):
        source, target = (canonical_modality(glued[side]) for side in ("source", "target"))
        if source in MODALITIES and target in MODALITIES:
            return _Kind.MODALITY, source
    return None


def _modalities(words: Sequence[str], terms: Sequence[_Term]) -> list[_Term]:
    """The modalities that a name states, without those that another was brought to."""
    stated = [term for term in terms if term.kind is _Kind.MODALITY]
    own = [term for term in stated if not _is_target(words, term)]
    return own or stated


def _is_target(words: Sequence[str], term: _Term) -> bool:
    before = words[term.first - 1] if term.first > 0 else ""
    # BIDS: space-T1w. "t2_space_flair" is a sequence of that name.
    space = before == "space" and words[term.first] in ("t1w", "t2w", "flair") and term.first > 1
    return before in _JOINERS or (space and "sub" in words[:1])


def _masks_the_brain(words: Sequence[str], terms: Sequence[_Term]) -> bool:
    """Whether the word "mask" belongs to a word for the brain: no number stands between them.

    ``brain_mask`` and ``T1_brain_mask`` do; ``brain_001_seg`` is a segmentation of case brain_001.
    """
    brains = [term for term in terms if term.kind is _Kind.BRAIN]
    masks = [term for term in terms if term.kind is _Kind.MASK]
    if not brains or not masks or any(word.startswith(_LESIONS) for word in words):
        return False
    return any(
        not any(word.isdigit() for word in words[min(b.last, m.last) : max(b.first, m.first) + 1])
        for b in brains
        for m in masks
    )


def _with_contrast(words: Sequence[str], stem: str, modalities: Sequence[_Term]) -> bool:
    agent = entities(stem).get("ce")
    if agent is not None:
        return agent.lower() not in _NEGATIONS
    after = modalities[0].last + 1
    for index, word in enumerate(words):
        meaning = _TABLE.get(word, (None,))[0]
        negated = index > 0 and words[index - 1] in _NEGATIONS
        if meaning is _Kind.CONTRAST and (index >= after - 2) and not negated:
            return True
        following = words[index + 1] if index + 1 < len(words) else ""
        # Before the modality it is a visit: "anna_post_T1"; after it "T1_AX_POST".
        if meaning is _Kind.POST and index >= after and following not in _NOT_CONTRAST:
            return True
    return False
