"""Which modality a series of a scanner is, by what its header says, or why it is set aside.

Descriptions are free text, in the words of the maker of the scanner and of the hospital. What they
say decides; the times of the sequence and the contrast agent settle what they leave open. A guess
says what it rests on, so that a person can judge it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

REFORMAT = "a reformat of another series"

_NO_AGENT = frozenset({"", "no", "none", "n", "0", "without", "ohne", "nein", "non"})
# In ms. FLAIR nulls water: no other sequence of a head waits as long. T1 by inversion waits about
# 300 to 1100.
_FLAIR_INVERSION = 1500.0
_T2_ECHO, _T1_ECHO, _T1_REPETITION, _T2_REPETITION = 60.0, 35.0, 1100.0, 1800.0

# What is set aside, by words of the description.
_ASIDE: tuple[tuple[str, str], ...] = (
    ("a localizer", r"loc|locali[sz]ers?|scouts?|aah\w*scout|survey|smartbrain|topogram|3 ?pl"),
    ("a calibration", r"calib\w*|cal|asset|(?:ref|reference) scan|prescan|coil|shim\w*|b1 ?map"),
    (
        "diffusion",
        r"\w*dwi\w*|dti\w*|diff\w*|\w*adc|trace\w*|b ?\d{3,4}s?\w*|b0s?|resolve|ivim|dki|tensor|"
        r"(?:col)?fa|avg dc|isotropic",
    ),
    (
        "perfusion",
        r"perf\w*|dsc|dce|dynamic|p?casl|asl|(?:r|rel)?cb[vf]|mtt|ttp|pwi|tmax|k ?trans|pbp",
    ),
    (
        "susceptibility or T2*",
        r"swi\w*|swan\w*|swip|susc\w*|t2 ?\*\w*|t2 ?star\w*|t2 ?ffe|h(?:a?e)mo\w*|qsm|medic|"
        r"venobold",
    ),
    ("a projection", r"m(?:in)?ip|mips|projections?"),
    ("functional", r"bold|fmri|resting|rs ?fmri"),
    ("angiography", r"\w*tof\w*|mr[av]|angio\w*|veno\w*|pca|phase contrast|circle of willis|cow"),
    ("spectroscopy", r"svs|csi|spectr\w*|mrs"),
    ("a field map", r"field ?map\w*|b0 ?map|fmap"),
    ("a map", r"(?:t1|t2|r1|r2|pd) ?maps?|maps?|mapit"),
    ("a subtraction", r"subs?|subtract\w*"),
    ("MP2RAGE, which holds several kinds of images", r"mp2rage\w*"),
    ("short-inversion recovery (STIR)", r"stir\w*"),
    ("double inversion recovery", r"dir|double ir"),
    ("steady-state (CISS, FIESTA)", r"ciss\w*|fiesta\w*|b ?ffe|drive|true ?fisp"),
    ("a report or a picture of a screen", r"screen ?\w*|report|phoenix\w*|key images?|dose"),
    ("of the spine", r"[ctl] ?sp(?:ine)?|spine|cervical|lumbar|thoracic|lws|hws|bws"),
)
_SPINE = re.compile(r".*SPINE|NECK|CHEST|ABDOMEN|PELVIS|KNEE|SHOULDER", re.IGNORECASE)
# The same, by values of ImageType.
_ASIDE_TYPES: tuple[tuple[str, str], ...] = (
    ("a localizer", r"LOCALIZER|SCOUT"),
    ("diffusion", r"ADC|E?ADC_MAP|FA|TRACEW|DIFFUSION|DWI|TENSOR|CALC_BVALUE|ISOTROPIC"),
    ("perfusion", r"(?:REL|R)?CB[VF]\w*|MTT\w*|TTP\w*|PERFUSION\w*|ASL|TMAX"),
    ("a projection", r"PROJECTION IMAGE|MIP|MINIP|MNIP|MAX_IP|MIN_IP"),
    ("a subtraction", r"SUB|SUBTRACT\w*"),
    ("phase instead of magnitude", r"P|PHASE|PHASE MAP|VELOCITY|I|IMAGINARY"),
    ("a map", r".*[ _]MAP|MAP"),
    ("a report or a picture of a screen", r"SCREEN SAVE|CSA REPORT|POSDISP"),
)
_REFORMAT_TYPE = re.compile(r"MPR|REFORMATTED|CPR|CURVED|AVERAGE_?IP")

_T1 = r"\w{0,2}t1\w*\+?|(?:mp ?|m)rage\w*|mprage\w*|bravo|f?spgr|vibe|mdeft|tfl3d\w*|ir prep"
_T2 = r"\w{0,2}t2\w*|frfse"
_FLAIR = r"\w*flair\w*|dark ?fluid|da fl|fluid attenuated"
_PROTON = r"pdw?|proton|\w*pd(?:t2)?"
_GRADIENT = r"\w*gre|ffe"
_BOTH = r"w wo|wwo|with (?:and|&|u) without|pre (?:and|&|u) post|pre post"
_BEFORE = (
    r"pre|pre ?contrast|prae|vor(?: km)?|(?:ohne|sans|sin|without|non?|w/o|before|senza)"
    r"(?: (?:contrast\w*|km|gd|gad\w*|iv|c|ce|kontrast\w*|injection))?|nativ\w*|nat|"
    r"unenhanced|plain|noncon\w*|t1n"
)
_AFTER = (
    r"\w*\+ ?(?:c|gd|gad\w*|km|ce)?|\+|c\+|post|post ?contrast\w*|post ?gd|gd\w*|gad\w*|km|mit km|"
    r"nach km|ce|t1ce?|t1gd|t1km|t1post|contrast\w*|kontrast\w*|enhanced|enh|inj\w*|iv|dotarem|"
    r"multihance|prohance|magnevist|with(?: c)?|mdc|con mdc|avec"
)
# Words that say "pre" or "post" of something else.
_NO_CONTRAST_MEANT = re.compile(
    r"\b(?:pre|post) ?(?:op\w*|rt|tx|treat\w*|surg\w*|radio\w*|chemo\w*|sat\w*|proc\w*)(?![^ ])"
)


@dataclass(frozen=True)
class SeriesFacts:
    """What a guess can rest on; empty or None where the header does not say.

    Attributes:
        description: of the series, or else its protocol's name.
        image_type: the values of ImageType.
        modality: the kind of machine, such as "MR".
        echo_time: in ms.
        repetition_time: in ms.
        inversion_time: in ms.
        sequences: such as "SE" (spin echo), "GR" (gradient echo) and "IR".
        contrast: the agent that was given.
        diffusion: the largest b-value.
        body_part: that was examined.
        slices: how many images there are.
    """

    description: str = ""
    image_type: tuple[str, ...] = ()
    modality: str = "MR"
    echo_time: float | None = None
    repetition_time: float | None = None
    inversion_time: float | None = None
    sequences: tuple[str, ...] = ()
    contrast: str = ""
    diffusion: float = 0.0
    body_part: str = ""
    slices: int = 0


@dataclass(frozen=True)
class SeriesGuess:
    """What a series is taken for.

    Attributes:
        modality: canonical; empty where it is set aside.
        reason: why it is set aside, as the end of "it is ..." or "it ...".
        rests_on: what the guess rests on.
        reformat: it was computed from another series, whose images count where they are there.
    """

    modality: str = ""
    reason: str = ""
    rests_on: str = ""
    reformat: bool = False


def guess(facts: SeriesFacts) -> SeriesGuess:
    """The modality of a series, or why it is set aside."""
    if facts.modality and facts.modality != "MR":
        return SeriesGuess(reason=f"{facts.modality}, not MR", rests_on="its modality")
    if facts.slices == 1:
        return SeriesGuess(reason="a single image", rests_on="the number of its images")
    if _SPINE.fullmatch(facts.body_part.strip()):
        return SeriesGuess(reason="not of the head", rests_on="the body part")
    types = [value.strip().upper() for value in facts.image_type]
    for reason, pattern in _ASIDE_TYPES:
        if any(re.fullmatch(pattern, value) for value in types[2:]):
            return SeriesGuess(reason=reason, rests_on="its image type")
    if facts.diffusion > 0:
        return SeriesGuess(reason="diffusion", rests_on="its b-value")
    words = _words(facts.description)
    reformat = "DERIVED" in types and any(map(_REFORMAT_TYPE.search, types))
    named = _by_words(words, facts)
    if not named.modality and not named.reason:
        named = _by_times(facts)
    if named.modality == "T1":
        named = _with_contrast(named, words, facts)
    return SeriesGuess(named.modality, named.reason, named.rests_on, reformat)


def _words(text: str) -> str:
    """A description in lower case, its words apart by single spaces, and one around it."""
    text = text.lower().replace("w/wo", " wwo ").replace("w&w/o", " wwo ")
    text = re.sub(r"\bw/o\b|\bwo\b", " without ", text)
    text = re.sub(r"\bw/", " with ", text)
    text = re.sub(r"\+(?=t[12])", " ", text)
    return f" {' '.join(re.sub(r'[^a-z0-9+*&]+', ' ', text).split())} "


def _says(words: str, pattern: str) -> bool:
    return re.search(rf"(?<= )(?:{pattern})(?= )", words) is not None


def _by_words(words: str, facts: SeriesFacts) -> SeriesGuess:
    on = "its description"
    t1, t2 = _says(words, _T1), _says(words, _T2)
    flair = _says(words, _FLAIR)
    for reason, pattern in _ASIDE:
        if _says(words, pattern):
            return SeriesGuess(reason=reason, rests_on=on)
    if _says(words, _GRADIENT) and not t1:
        return SeriesGuess(reason="a gradient echo that is not T1", rests_on=on)
    if t1 and t2:
        return SeriesGuess(reason="its description names T1 and T2", rests_on=on)
    if t1:
        return _if_fitting("T1", facts)
    if flair:
        return _if_fitting("FLAIR", facts)
    inversion = facts.inversion_time or 0
    if t2 or _says(words, r"tirm"):
        return _t2_or_similar(words, inversion, facts)
    if _says(words, _PROTON):
        return SeriesGuess(reason="proton density", rests_on=on)
    return SeriesGuess()


def _t2_or_similar(words: str, inversion: float, facts: SeriesFacts) -> SeriesGuess:
    """FLAIR and proton density are often named T2 as well; their times tell them apart."""
    if inversion >= _FLAIR_INVERSION:
        on = f"its description and inversion time of {inversion:g} ms"
        return SeriesGuess("FLAIR", rests_on=on)
    if _says(words, r"tirm"):
        reason = "inversion recovery, which is FLAIR or STIR by its inversion time"
        return SeriesGuess(reason=reason, rests_on="its description")
    if _says(words, _PROTON):
        if facts.echo_time is None:
            reason = "its description names T2 and proton density"
            return SeriesGuess(reason=reason, rests_on="its description")
        on = f"its echo time of {facts.echo_time:g} ms"
        if facts.echo_time < _T2_ECHO:
            return SeriesGuess(reason="proton density", rests_on=on)
        return SeriesGuess("T2", rests_on=f"its description and {on.removeprefix('its ')}")
    return _if_fitting("T2", facts)


def _if_fitting(modality: str, facts: SeriesFacts) -> SeriesGuess:
    """What the description says, unless the times of the sequence contradict it."""
    echo, inversion = facts.echo_time, facts.inversion_time
    reason = ""
    if modality == "T1" and echo is not None and echo > _T2_ECHO:
        reason = f"its description says T1, but its echo time is {echo:g} ms"
    if (
        modality == "T2"
        and echo is not None
        and 0 < echo < _T1_ECHO
        and "GR" not in facts.sequences
    ):
        reason = f"its description says T2, but its echo time is {echo:g} ms"
    if modality == "FLAIR" and inversion is not None and 0 < inversion < _FLAIR_INVERSION:
        reason = f"its description says FLAIR, but its inversion time is {inversion:g} ms"
    if reason:
        return SeriesGuess(reason=reason, rests_on="its description and times")
    return SeriesGuess(modality, rests_on="its description")


def _by_times(facts: SeriesFacts) -> SeriesGuess:
    """What the times of a spin echo say, where no word does."""
    echo, repetition, inversion = facts.echo_time, facts.repetition_time, facts.inversion_time or 0
    nothing = SeriesGuess(reason="its header states no modality", rests_on="its description")
    if echo is None or repetition is None:
        return nothing
    on = f"its times alone: echo {echo:g} ms, repetition {repetition:g} ms"
    if inversion >= _FLAIR_INVERSION and echo > _T2_ECHO:
        return SeriesGuess("FLAIR", rests_on=f"{on}, inversion {inversion:g} ms")
    if "SE" not in facts.sequences or inversion:
        return nothing
    if echo > _T2_ECHO and repetition > _T2_REPETITION:
        return SeriesGuess("T2", rests_on=on)
    if echo < _T1_ECHO and repetition < _T1_REPETITION:
        return SeriesGuess("T1", rests_on=on)
    return nothing


def _with_contrast(named: SeriesGuess, words: str, facts: SeriesFacts) -> SeriesGuess:
    """T1, or T1CE where contrast was given before it."""
    words = _NO_CONTRAST_MEANT.sub("", words)
    agent = facts.contrast.strip().lower() not in _NO_AGENT
    if _says(words, _BOTH):
        reason = "its description says both with and without contrast"
        return SeriesGuess(reason=reason, rests_on="its description")
    if _says(words, _BEFORE):
        return named
    if _says(words, _AFTER):
        return SeriesGuess("T1CE", rests_on=named.rests_on)
    if agent:
        return SeriesGuess("T1CE", rests_on=f"{named.rests_on} and the contrast agent")
    return named
