"""Views of mammograms as vendors write them: codes, and free spellings in View Position."""

from __future__ import annotations

import pytest
from pydicom.sr.codedict import codes

from imaging.dicom_views import MODIFIER_CODES, MODIFIERS, SPECIMEN_CODES, VIEW_CODES, SpelledView, spelled


@pytest.mark.parametrize(
    ("text", "view", "side", "modifiers"),
    [
        ("CC", "CC", None, ()),
        ("mlo", "MLO", None, ()),
        ("RCC", "CC", "R", ()),
        ("LMLO", "MLO", "L", ()),
        ("L MLO", "MLO", "L", ()),
        ("MLO-R", "MLO", "R", ()),
        ("R-MLO", "MLO", "R", ()),
        ("MLO(L)", "MLO", "L", ()),
        ("LEFT CC", "CC", "L", ()),
        ("RT MLO", "MLO", "R", ()),
        ("CCR", "CC", "R", ()),
        ("LML", "ML", "L", ()),
        ("RLM", "LM", "R", ()),
        ("LLMO", "LMO", "L", ()),
        ("RXCCL", "XCCL", "R", ()),
        ("R XCC L", "XCCL", "R", ()),
        ("XCC M", "XCCM", None, ()),
        ("LSIO", "SIO", "L", ()),
        ("LFB", "FB", "L", ()),
        ("CC ID", "CC", None, ("ID",)),
        ("MLOID", "MLO", None, ("ID",)),
        ("RCCID", "CC", "R", ("ID",)),
        ("L CC IMPLANT DISPLACED", "CC", "L", ("ID",)),
        ("EKLUND RMLO", "MLO", "R", ("ID",)),
        ("SPOT CC", "CC", None, ("S",)),
        ("RMLO MAG", "MLO", "R", ("M",)),
        ("RMCC", "CC", "R", ("M",)),
        ("LSMLO", "MLO", "L", ("S",)),
        ("L SPOT MAG CC", "CC", "L", ("S", "M")),
        ("RCCRL", "CC", "R", ("RL",)),
        ("LCC RM", "CC", "L", ("RM",)),
        ("L CC ROLLED LATERAL", "CC", "L", ("RL",)),
        ("CLEAVAGE", "", None, ("CV",)),
        ("L AXILLARY TAIL", "", "L", ("AT",)),
        ("L TAN", "", "L", ("TAN",)),
        ("CRANIO-CAUDAL", "CC", None, ()),
        ("MEDIO-LATERAL OBLIQUE", "MLO", None, ()),
        ("MEDIOLATERAL", "ML", None, ()),
        ("LCC_2", "CC", "L", ()),
        ("RMLO TOMO", "MLO", "R", ()),
        ("右乳头尾位", "CC", "R", ()),
        ("左侧乳腺 MLO", "MLO", "L", ()),
        # a repeat's number
        ("RCC1", "CC", "R", ()),
        ("LCC2", "CC", "L", ()),
        ("MLO2", "MLO", None, ()),
        ("R-MLO 2", "MLO", "R", ()),
        ("LMLO_02", "MLO", "L", ()),
        ("RCCID2", "CC", "R", ("ID",)),
        ("RXCCL2", "XCCL", "R", ()),
        ("RMLO REPEAT", "MLO", "R", ()),
        ("3DLCC", "CC", "L", ()),
        ("RMLO2D", "MLO", "R", ()),
        # the side behind, or in full
        ("CCLEFT", "CC", "L", ()),
        ("MLORIGHT", "MLO", "R", ()),
        ("MLORT", "MLO", "R", ()),
        ("CCLT", "CC", "L", ()),
        ("LEFTMLO", "MLO", "L", ()),
        ("RTCC", "CC", "R", ()),
        ("RIGHTMLO2", "MLO", "R", ()),
        ("XCCLEFT", "XCC", "L", ()),
        ("XCCLLEFT", "XCCL", "L", ()),
        ("CCIDRT", "CC", "R", ("ID",)),
        # spot and magnification behind
        ("RMLOS", "MLO", "R", ("S",)),
        ("LMLOM", "MLO", "L", ("M",)),
        ("LCCS", "CC", "L", ("S",)),
        ("RCCSM", "CC", "R", ("S", "M")),
        ("RMLOMS", "MLO", "R", ("S", "M")),
        ("RMLOS2", "MLO", "R", ("S",)),
        ("LCCIDS", "CC", "L", ("ID", "S")),
        ("RMLOMAG", "MLO", "R", ("M",)),
        ("LCC SPOT", "CC", "L", ("S",)),
        ("LCCSPOT", "CC", "L", ("S",)),
        ("CC PUSH BACK", "CC", None, ("ID",)),
        ("RMLO NIPPLE PROFILE", "MLO", "R", ("NP",)),
        # by how much, with or without what
        ("R CC MAG 1.8X", "CC", "R", ("M",)),
        ("LMLO SPOT MAG 1.5 X", "MLO", "L", ("S", "M")),
        ("R CC WITH IMPLANT", "CC", "R", ()),
        ("LMLO W/ IMPLANTS", "MLO", "L", ()),
        ("L CC TOMOSYNTHESIS", "CC", "L", ()),
        ("RCC CESM", "CC", "R", ()),
        ("RMLO CEM LE", "MLO", "R", ()),
        # a picture made from tomosynthesis, and tomosynthesis
        ("RCC C-View", "CC", "R", ()),
        ("RCC TOMO HD", "CC", "R", ()),
        ("RMLOTOMO", "MLO", "R", ()),
        # written with accents, or in full width
        ("CRÂNIO-CAUDAL DIREITA", "CC", "R", ()),
        ("Médio-lateral oblíqua esq.", "MLO", "L", ()),
        ("MEDIO LATERAL OBLICUA DERECHA", "MLO", "R", ()),
        ("ＲＣＣ", "CC", "R", ()),
        ("左ＭＬＯ", "MLO", "L", ()),
        # French, Spanish, Portuguese, German, Italian
        ("CC re", "CC", "R", ()),
        ("MLO li.", "MLO", "L", ()),
        ("LI MLO", "MLO", "L", ()),
        ("FACE DROITE", "CC", "R", ()),
        ("Crânio-caudal droit", "CC", "R", ()),
        ("OBLIQUE GAUCHE", "MLO", "L", ()),
        ("oblique externe droit", "MLO", "R", ()),
        ("OBLIQUA MEDIOLATERALE SX", "MLO", "L", ()),
        ("CCD", "CC", "R", ()),
        ("CCG", "CC", "L", ()),
        ("MLOI", "MLO", "L", ()),
        ("MLO E", "MLO", "L", ()),
        ("CC D", "CC", "R", ()),
        ("CC DROITE", "CC", "R", ()),
        ("MLO IZQUIERDA", "MLO", "L", ()),
        ("OML DERECHA", "MLO", "R", ()),
        ("CC links", "CC", "L", ()),
        ("Mediolateral oblicua derecha", "MLO", "R", ()),
        ("ML OBLIQUE DX", "MLO", "R", ()),
        ("RTAN", "", "R", ("TAN",)),
        ("LCV", "", "L", ("CV",)),
    ],
)
def test_a_spelling_is_read(text: str, view: str, side: str | None, modifiers: tuple[str, ...]) -> None:
    assert spelled(text) == SpelledView(view=view, side=side, modifiers=modifiers)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "FOO",
        "RCC FOO",
        "RCC LMLO",
        "CC/MLO",
        "R CC L",
        "XCC L",
        "AP",
        "LATERAL",
        "L",
        "M",
        "S",
        "RL",
        "CCM",
        "CCS",
        "MLOS",
        "RCCM",
        "RMLS",
        "RMLOSR",
        "RSMLOS",
        "LCCRT",
        "LCCD",
        "LCC D",
        "D",
        "I",
        "RLEFT",
        "LAT",
        "RLAT",
        "RCC2024",
        "RCCX",
        "RCC1A",
    ],
)
def test_what_is_not_understood_or_means_two_things_is_not_read(text: str) -> None:
    assert spelled(text) is None


def test_every_code_of_the_context_groups_is_known() -> None:
    for group, known in ((codes.cid4014, VIEW_CODES), (codes.cid4015, MODIFIER_CODES)):
        for name in group.dir():
            value = getattr(group, name).value
            assert value in known or value in SPECIMEN_CODES, name
    assert set(MODIFIER_CODES.values()) <= set(MODIFIERS)


def test_snomed_rt_names_the_same_as_snomed_ct() -> None:
    from pydicom.sr._snomed_dict import mapping

    for known in (VIEW_CODES, MODIFIER_CODES):
        for code, name in known.items():
            if code in mapping["SCT"]:
                assert known[mapping["SCT"][code]] == name
