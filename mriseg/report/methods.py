"""What to write in a paper about a prediction, a training or an evaluation, and what to cite.

Each text is a draft in the past tense that states what was done with which version and setting;
what mriseg cannot know, such as the scanner, is left to the author.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from mriseg.core.wording import counted
from mriseg.report.page import Citation, Methods

CITATIONS: Mapping[str, Citation] = {
    "segnet": Citation(
        "Badrinarayanan et al. 2017",
        "Badrinarayanan V, Kendall A, Cipolla R. SegNet: a deep convolutional encoder-decoder "
        "architecture for image segmentation. IEEE Trans Pattern Anal Mach Intell. "
        "2017;39(12):2481-2495.",
        "https://doi.org/10.1109/TPAMI.2016.2644615",
    ),
    "pytorch": Citation(
        "Paszke et al. 2019",
        "Paszke A, Gross S, Massa F, et al. PyTorch: an imperative style, high-performance deep "
        "learning library. Advances in Neural Information Processing Systems 32, 2019.",
        "https://doi.org/10.48550/arXiv.1912.01703",
    ),
    "nibabel": Citation(
        "Brett et al.",
        "Brett M, Markiewicz CJ, Hanke M, et al. nipy/nibabel. Zenodo.",
        "https://doi.org/10.5281/zenodo.591597",
    ),
    "scipy": Citation(
        "Virtanen et al. 2020",
        "Virtanen P, Gommers R, Oliphant TE, et al. SciPy 1.0: fundamental algorithms for "
        "scientific computing in Python. Nat Methods. 2020;17:261-272.",
        "https://doi.org/10.1038/s41592-019-0686-2",
    ),
    "brats": Citation(
        "Menze et al. 2015",
        "Menze BH, Jakab A, Bauer S, et al. The multimodal brain tumor image segmentation "
        "benchmark (BRATS). IEEE Trans Med Imaging. 2015;34(10):1993-2024.",
        "https://doi.org/10.1109/TMI.2014.2377694",
    ),
    "bakas": Citation(
        "Bakas et al. 2017",
        "Bakas S, Akbari H, Sotiras A, et al. Advancing The Cancer Genome Atlas glioma MRI "
        "collections with expert segmentation labels and radiomic features. Sci Data. "
        "2017;4:170117.",
        "https://doi.org/10.1038/sdata.2017.117",
    ),
    "lgg": Citation(
        "Buda et al. 2019",
        "Buda M, Saha A, Mazurowski MA. Association of genomic subtypes of lower-grade gliomas "
        "with shape features automatically extracted by a deep learning algorithm. Comput Biol "
        "Med. 2019;109:218-225.",
        "https://doi.org/10.1016/j.compbiomed.2019.05.002",
    ),
    "nsd": Citation(
        "Nikolov et al. 2021",
        "Nikolov S, Blackwell S, Zverovitch A, et al. Clinically applicable segmentation of head "
        "and neck anatomy for radiotherapy: deep learning algorithm development and validation "
        "study. J Med Internet Res. 2021;23(7):e26151.",
        "https://doi.org/10.2196/26151",
    ),
    "efron": Citation(
        "Efron 1987",
        "Efron B. Better bootstrap confidence intervals. J Am Stat Assoc. 1987;82(397):171-185.",
        "https://doi.org/10.1080/01621459.1987.10478410",
    ),
    "schneider": Citation(
        "Schneider et al. 2020",
        "Schneider S, Rusak E, Eck L, et al. Improving robustness against common corruptions by "
        "covariate shift adaptation. Advances in Neural Information Processing Systems 33, 2020.",
        "https://doi.org/10.48550/arXiv.2006.16971",
    ),
    "cortes": Citation(
        "Cortes et al. 1993",
        "Cortes C, Jackel LD, Solla SA, Vapnik V, Denker JS. Learning curves: asymptotic values "
        "and rate of convergence. Advances in Neural Information Processing Systems 6, 1993.",
        "https://proceedings.neurips.cc/paper/1993",
    ),
    "figueroa": Citation(
        "Figueroa et al. 2012",
        "Figueroa RL, Zeng-Treitler Q, Kandula S, Ngo LH. Predicting sample size required for "
        "classification performance. BMC Med Inform Decis Mak. 2012;12:8.",
        "https://doi.org/10.1186/1472-6947-12-8",
    ),
    "holm": Citation(
        "Holm 1979",
        "Holm S. A simple sequentially rejective multiple test procedure. Scand J Stat. "
        "1979;6(2):65-70.",
        "https://www.jstor.org/stable/4615733",
    ),
}
"""What is cited, by a short name."""

DATA: Mapping[str, tuple[str, ...]] = {
    "brats": ("brats", "bakas"),
    "h5": ("brats", "bakas"),
    "lgg": ("lgg",),
}
"""Layout of a data set -> what its users are asked to cite."""


class Draft:
    """A text that is written sentence by sentence."""

    def __init__(self) -> None:
        self._sentences: list[str] = []
        self._cited: list[str] = []

    def add(self, sentence: str, *cited: str) -> None:
        """Add a sentence, and what is cited at its end."""
        keys = "; ".join(CITATIONS[name].key for name in cited)
        self._sentences.append(f"{sentence} ({keys})." if keys else f"{sentence}.")
        self._cited += cited

    def finished(self) -> Methods:
        """The text and its references, in the order of their first mention."""
        names = dict.fromkeys(self._cited)
        return Methods(" ".join(self._sentences), tuple(CITATIONS[name] for name in names))


def read_scans(draft: Draft, layout: str = "") -> None:
    """How scans are read and normalised."""
    draft.add(
        "Images were read with NiBabel, brought to a common orientation, cropped to the head and "
        "z-scored within it, for each scan and modality separately",
        "nibabel",
    )
    if layout in DATA:
        draft.add("The scans are those of a public data set", *DATA[layout])


def of_training(
    *,
    version: str,
    torch: str,
    width: int,
    modalities: Sequence[str],
    regions: Iterable[str],
    cases: tuple[int, int],
    parent: str = "",
    layout: str = "",
) -> Methods:
    """Of a training or a transfer, with so many (training, validation) cases."""
    draft, (train, validation) = Draft(), cases
    read_scans(draft, layout)
    draft.add(
        f"A 2-D SegNet of width {width} was trained with mriseg {version} and PyTorch {torch} to "
        f"segment {_listed(regions)} in axial slices of {_listed(modalities)}",
        "segnet",
        "pytorch",
    )
    if parent:
        draft.add(f"Its weights were transferred from {parent}")
    chose = "there was no validation"
    if validation:
        others = f"{validation} other{'s' * (validation != 1)}"
        chose = f"{others} chose the epoch, the threshold and the minimum component size"
    draft.add(f"{counted(train, 'case')} trained the network; {chose}")
    return draft.finished()


def of_prediction(
    *,
    version: str,
    torch: str,
    model: str,
    digest: str,
    modalities: Sequence[str],
    regions: Sequence[str],
    settings: Mapping[str, object],
) -> Methods:
    """Of masks that a model made."""
    draft = Draft()
    read_scans(draft)
    draft.add(
        f"{_listed(regions)} {'was' if len(regions) == 1 else 'were'} segmented slice by slice "
        f"in {_listed(modalities)} by a SegNet, the model {model} (digest {digest[:12]}), with "
        f"mriseg {version} and PyTorch {torch}",
        "segnet",
        "pytorch",
    )
    if settings.get("flips"):
        draft.add("Probabilities were averaged over mirrored copies of each slice")
    if settings.get("adapt"):
        draft.add("Batch-norm statistics were adapted halfway to each scan", "schneider")
    if settings.get("refine"):
        draft.add("Probabilities were refined by the scan's intensities and neighbouring slices")
    draft.add("Masks were written on each scan's own grid and were not corrected by hand")
    if model == "base":
        draft.add("The model was trained on public scans of gliomas", "lgg", "brats", "bakas")
    return draft.finished()


def of_evaluation(*, version: str, tolerance: float, unit: str, model: str, cases: int) -> Methods:
    """Of scores."""
    draft = Draft()
    what = f"Masks of the model {model}" if model else "Masks"
    draft.add(
        f"{what} were compared with reference masks in 3-D, case by case, with mriseg {version}: "
        f"Dice, intersection over union, sensitivity, precision, 95 % Hausdorff distance, average "
        f"symmetric surface distance, and normalised surface Dice at {tolerance:g} {unit}",
        "nsd",
        "scipy",
    )
    draft.add(
        f"Means over {counted(cases, 'case')} are given with 95 % bootstrap intervals",
        "efron",
    )
    return draft.finished()


def of_comparison(*, version: str, patients: int, folds: int, source: str) -> Methods:
    """Of ways to start a training."""
    draft = Draft()
    draft.add(
        f"Ways to start a training were compared by {folds}-fold cross-validation on {patients} "
        f"patients with mriseg {version}, on the same patients, folds and seeds",
        "segnet",
        "pytorch",
    )
    draft.add(f"Transfers started from {source}; no patient of its training took part")
    draft.add("Differences of Dice were tested in pairs by patient, with Holm's correction", "holm")
    draft.add("Intervals are 95 % bootstrap intervals", "efron")
    return draft.finished()


def of_cross_validation(*, version: str, patients: int, parts: int, leaves_out: bool) -> Methods:
    """Of patients held out of trainings that are alike."""
    draft = Draft()
    how = f"leaving {parts} groups out whole" if leaves_out else f"{parts}-fold cross-validation"
    draft.add(
        f"{patients} patients were measured by {how} with mriseg {version}: each was segmented by "
        f"a network that was trained alike without them",
        "segnet",
        "pytorch",
    )
    draft.add(
        "Thresholds were chosen by the other patients, each group and each subset of modalities "
        "counting the same"
    )
    draft.add("Means over patients are given with 95 % bootstrap intervals", "efron")
    return draft.finished()


def of_forecast(*, version: str, patients: int, folds: int, source: str) -> Methods:
    """Of what more patients would be worth."""
    draft = Draft()
    start = "random weights" if source == "scratch" else f"the weights of {source}"
    draft.add(
        f"Networks were trained from {start} on nested subsets of {patients} patients with mriseg "
        f"{version}, and measured by Dice on the patients of the fold held out, one of {folds}",
        "segnet",
        "pytorch",
    )
    draft.add(
        "An inverse power law was fitted to the means by least squares, bounded by 1 and never "
        "falling with more patients",
        "cortes",
        "figueroa",
    )
    draft.add(
        "Its 95 % intervals are by bootstrap over patients, with the spread between trainings added"
    )
    return draft.finished()


def of_improvement(*, version: str, source: str, learnt: int, held_out: int) -> Methods:
    """Of a model that learnt on from corrections."""
    draft = Draft()
    draft.add(
        f"The model {source} was trained further with mriseg {version} on "
        f"{counted(learnt, 'patient')} whose masks had been corrected or accepted by a reader",
        "segnet",
        "pytorch",
    )
    draft.add(
        f"It was compared with the model before on {counted(held_out, 'corrected patient')} kept "
        f"aside from all training, by Dice in pairs: a two-sided permutation test, and a 95 % "
        f"bootstrap interval",
        "efron",
    )
    draft.add(
        "Reference masks were corrections of a model's own masks, which may favour models like it"
    )
    return draft.finished()


def of_data(*, version: str, layout: str) -> Methods:
    """Of a store of scans."""
    draft = Draft()
    read_scans(draft, layout)
    draft.add(f"This was done with mriseg {version}")
    return draft.finished()


def _listed(names: Iterable[str]) -> str:
    *rest, last = names
    return f"{', '.join(rest)} and {last}" if rest else last
