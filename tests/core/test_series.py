from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mriseg.core.modalities import MODALITIES
from mriseg.core.series import SeriesFacts, guess

# As consoles of GE, Siemens and Philips, and the people at them, write it. Empty: set aside.
DESCRIPTIONS = {
    "FLAIR": (
        "t2_tirm_tra_dark-fluid | AX FLAIR | FLAIR_longTR | 3D_FLAIR | Sag T2 FLAIR CUBE | "
        "T2_FLAIR | t2_space_da-fl_sag_p2_iso | t2_space_dark-fluid_sag | AX FLAIR POST | "
        "FLAIR fs | SAG CUBE FLAIR"
    ),
    "T1": (
        "Ax T1 FLAIR | SAG BRAVO | Ax T1 SE Pre | AX T1 PRE GAD | T1 AX W/O | AX T1 WO | T1 "
        "AXIAL | AX T1 WITHOUT CONTRAST | t1_mprage_sag_p2_iso | t1_tse_tra | t1_fl2d_tra | "
        "sT1W_3D_TFE | T1W_3D_TFE SENSE | 3D T1 TFE | T1 post-op | T1 3D nativ | T1 3D ohne "
        "KM | t1_se_tra_vor_KM | sag t1 posterior fossa | T1 gre 3d | T1-weighted | T1 FSPGR "
        "3D | T1n | AX T1 IR-FSPGR"
    ),
    "T1CE": (
        "t1_mpr_gd | AX T1 POST | 3D T1 TFE+C | AX T1 FLAIR +C | AX BRAVO +C | AX T1 POST GAD "
        "| T1c | AX T1 C+ | AX T1 +C | T1 AX W/ | AX T1 WITH CONTRAST | "
        "t1_mprage_sag_p2_iso_KM | T1CE | t1_se_tra_nach_KM | t1_vibe_dixon_tra_post | "
        "eT1W_SE_GADO | T1 pre-op Gd | T1 SPIR Gd | AX T1 GD FS | COR T1 CE | MPRAGE GAD | T1 "
        "mprage post contrast | SAG 3D T1 CUBE +C | T1 + GD"
    ),
    "T2": (
        "T2 TSE | AX T2 FRFSE | AX T2 PROPELLER | t2_tse_tra_512 | T2W_TSE | AX T2 POST | "
        "CUBE T2 | t2_blade_tra"
    ),
    "": (
        "ADC | DWI b1000 | localizer | SWI | AX T2* GRE | AX GRE | 3-Plane Loc | 3Plane Loc "
        "SSFSE | t2_fl2d_tra_hemo | ep2d_diff_3scan_trace_p2 | ep2d_diff_mddw_20_p2_ADC | "
        "ep2d_perf | T1 map | swi3d_tra | Mag_Images | mIP_Images(SW) | Pha_Images | "
        "tof_fl3d_tra_p2_multi-slab | Survey | AAHead_Scout | AAHead_Scout_MPR_sag | "
        "gre_field_mapping | t1_mp2rage_sag_p3_UNI | SUB T1 | pd+t2_tse_tra | SURVEY_MST | "
        "VEN_BOLD | sDW_SSh | dReg - DWI SSh | STIR cor | MRA COW | ASSET calibration | "
        "Phoenix Document | rCBV map | AX PD | CISS 3d | Sag T2 C-spine | Axial | AX "
        "DIFFUSION | ax t1 dce | T2 STAR | AX T1 W/WO | T1_T2 | DTI 30 dir"
    ),
}
CASES = [(text.strip(), name) for name, texts in DESCRIPTIONS.items() for text in texts.split("|")]


@pytest.mark.parametrize(("description", "modality"), CASES)
def test_descriptions_as_scanners_write_them(description: str, modality: str) -> None:
    taken = guess(SeriesFacts(description=description))
    assert taken.modality == modality
    assert bool(taken.reason) == (modality == "")
    assert taken.rests_on == "its description"


SPIN_ECHO = ("SE",)


@pytest.mark.parametrize(
    ("facts", "modality", "said"),
    [
        # The times settle what the words leave open.
        (SeriesFacts("t2_spc_ir_sag", inversion_time=1800), "FLAIR", "inversion time of 1800"),
        (SeriesFacts("t2_tirm_cor", inversion_time=2500), "FLAIR", "inversion time of 2500"),
        (SeriesFacts("t2_tirm_cor", inversion_time=150), "", "FLAIR or STIR"),
        (SeriesFacts("pd+t2_tse", echo_time=12), "", "proton density"),
        (SeriesFacts("pd+t2_tse", echo_time=98), "T2", "echo time of 98"),
        # Or contradict them.
        (SeriesFacts("AX T1", echo_time=100), "", "says T1, but its echo time is 100"),
        (SeriesFacts("AX T2", echo_time=12), "", "says T2, but its echo time is 12"),
        (SeriesFacts("AX FLAIR", inversion_time=800), "", "its inversion time is 800"),
        # No words at all.
        (SeriesFacts("", (), "MR", 90, 4000, None, SPIN_ECHO), "T2", "its times alone"),
        (SeriesFacts("", (), "MR", 12, 500, None, SPIN_ECHO), "T1", "its times alone"),
        (SeriesFacts("", (), "MR", 12, 500, None, SPIN_ECHO, "Gd"), "T1CE", "the contrast agent"),
        (SeriesFacts("", (), "MR", 120, 9000, 2500, SPIN_ECHO), "FLAIR", "inversion 2500"),
        (SeriesFacts("", (), "MR", 4, 25, None, ("GR",)), "", "states no modality"),
        (SeriesFacts(""), "", "states no modality"),
        # Contrast.
        (SeriesFacts("AX T1", contrast="Dotarem"), "T1CE", "the contrast agent"),
        (SeriesFacts("AX T1", contrast="NONE"), "T1", "its description"),
        (SeriesFacts("AX T1 PRE", contrast="Dotarem"), "T1", "its description"),
        (SeriesFacts("AX T2", contrast="Dotarem"), "T2", "its description"),
        # What the image type, the b-value, the machine and the body part say.
        (SeriesFacts("T2", ("ORIGINAL", "PRIMARY", "LOCALIZER")), "", "a localizer"),
        (SeriesFacts("T2", ("DERIVED", "PRIMARY", "DIFFUSION", "ADC", "ND")), "", "diffusion"),
        (SeriesFacts("T1", ("DERIVED", "SECONDARY", "PROJECTION IMAGE")), "", "a projection"),
        (SeriesFacts("T1", ("ORIGINAL", "PRIMARY", "P", "ND")), "", "phase instead of magnitude"),
        (SeriesFacts("T1", ("DERIVED", "PRIMARY", "T1 MAP")), "", "a map"),
        (SeriesFacts("T1", ("DERIVED", "SECONDARY", "SUBTRACT")), "", "a subtraction"),
        (SeriesFacts("T2", diffusion=1000), "", "diffusion"),
        (SeriesFacts("HEAD", modality="CT"), "", "CT, not MR"),
        (SeriesFacts("T2 sag", body_part="CSPINE"), "", "not of the head"),
        (SeriesFacts("T1", slices=1), "", "a single image"),
    ],
)
def test_what_a_guess_rests_on(facts: SeriesFacts, modality: str, said: str) -> None:
    taken = guess(facts)
    assert taken.modality == modality
    assert said in (taken.rests_on if modality else taken.reason)


def test_a_reformat_is_known_as_one() -> None:
    taken = guess(SeriesFacts("t1_mpr_gd", ("DERIVED", "SECONDARY", "MPR", "CSA MPR")))
    assert (taken.modality, taken.reformat) == ("T1CE", True)
    assert not guess(SeriesFacts("t1_mpr_gd", ("ORIGINAL", "PRIMARY", "M", "ND"))).reformat


@given(st.text(max_size=80), st.lists(st.text(max_size=20), max_size=4))
def test_any_text_gets_a_modality_or_a_reason(description: str, image_type: list[str]) -> None:
    taken = guess(SeriesFacts(description, tuple(image_type)))
    assert bool(taken.modality) != bool(taken.reason)
    assert taken.modality in ("", *MODALITIES)
