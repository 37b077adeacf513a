"""Tiny trees of the histopathology sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from inference.datasets.generated import pictures


def bioimaging2015(root: Path) -> None:
    """Classes by folder, by prefix only, and by neither."""
    for label, prefix in (("Normal", "n"), ("Benign", "b"), ("InSitu", "is"), ("Invasive", "iv")):
        for number in (1, 2):
            pictures.colour(root / "Training_data" / label / f"{prefix}{number:03d}.tif", 64, 48)
        pictures.colour(root / "Test_data" / f"{prefix}100.tif", 64, 48)
        pictures.colour(root / "Extended_Test_data" / label / f"{prefix}200.tif", 64, 48)
    pictures.colour(root / "Test_data" / "specimen7.tif", 64, 48)
    pictures.colour(root / "Training_data" / "Benign" / "iv009.tif", 64, 48)  # folder and prefix disagree


def bach(root: Path) -> None:
    """Numbers on both sides of the eva ranges, a row of the truth that contradicts and one that is cut off, an
    unlabelled test image, slides with XML, with broken XML and without."""
    rows = []
    for label, prefix in (("Normal", "n"), ("Benign", "b"), ("InSitu", "is"), ("Invasive", "iv")):
        for number in (1, 42, 70, 95):
            name = f"{prefix}{number:03d}.tif"
            pictures.colour(root / "Photos" / label / name, 64, 48)
            rows.append(f"{name},{'Benign' if name == 'n095.tif' else label}")
    pictures.text(root / "Photos" / "microscopy_ground_truth.csv", "\n".join(rows) + "\nn0")
    pictures.colour(root / "Photos" / "Benign" / "copy of b001.tif", 64, 48)
    pictures.colour(root / "Photos" / "test7.tif", 64, 48)
    for slide in ("A01", "A02", "03"):
        pictures.slide(root / "WSI" / f"{slide}.svs")
    region = (
        '<Region Id="{0}" Text="{1}"><Attributes><Attribute Name="Description" Id="0" Value="{2}"/></Attributes>'
        '<Vertices><Vertex X="10" Y="20" Z="0"/><Vertex X="60" Y="20" Z="0"/><Vertex X="60" Y="70" Z="0"/></Vertices></Region>'
    )
    pictures.text(
        root / "WSI" / "A01.xml",
        "<Annotations MicronsPerPixel='0.467'><Annotation Id='1'><Regions>"
        + region.format(1, "Benign", "")
        + region.format(2, "", "Carcinoma in situ")
        + region.format(3, "", "Carcinoma invasive")
        + "</Regions></Annotation></Annotations>",
    )
    pictures.text(root / "WSI" / "A02.xml", "<Annotations><Annotation>")  # cut off
    vertex = '<Annotations><Region Text="Benign"><Vertex X="1" Y="ten"/></Region></Annotations>'
    pictures.text(root / "WSI" / "03.xml", vertex)


def breakhis(root: Path) -> None:
    """Woman 14-13412 under DC and LC, section letters, a woman in two classes, one official fold with
    a broken line and an absent image, a stray name."""
    base = root / "BreaKHis_v1" / "histology_slides" / "breast"
    names = []
    for kind, subtype, folder, slide in (
        ("B", "A", "adenosis", "22549AB"),
        ("B", "A", "adenosis", "22549CD"),
        ("B", "A", "adenosis", "22549G"),
        ("B", "F", "fibroadenoma", "21998CD"),
        ("B", "PT", "phyllodes_tumor", "21998AB"),
        ("B", "TA", "tubular_adenoma", "16184CD"),
        ("M", "DC", "ductal_carcinoma", "13412"),
        ("M", "LC", "lobular_carcinoma", "13412"),
        ("M", "MC", "mucinous_carcinoma", "13418DE"),
        ("M", "PC", "papillary_carcinoma", "9146"),
    ):
        for magnification in (40, 400):
            name = f"SOB_{kind}_{subtype}-14-{slide}-{magnification}-001.png"
            case = f"SOB_{kind}_{subtype}_14-{slide}"
            side = "benign" if kind == "B" else "malignant"
            pictures.colour(base / side / "SOB" / folder / case / f"{magnification}X" / name, 70, 46)
            part = "test" if subtype == "LC" or slide == "22549G" else "train"
            names.append(f"{name}|{magnification}|1|{part}")
    names += ["SOB_B_A-14-99999-40-001.png|40|1|train", "SOB_B_A-14-22549"]
    pictures.text(root / "dsfold1.txt", "\n".join(names) + "\n")
    pictures.colour(base / "benign" / "overview.png", 70, 46)


def camelyon17(root: Path) -> None:
    """Both kinds of rows of the stage table, a stage that does not follow from its nodes, a hole, a negative
    slide with outlines, a broken annotation, a label without a slide, a row that is cut off. Slides are pyramids; in two
    of them a tumour is drawn and outlined."""
    rows = ["patient,stage"]
    tumours = {"patient_004_node_1": (170.0, 96.0, 60.0), "patient_099_node_1": (80.0, 96.0, 60.0)}
    for patient, stages in (
        (4, ("negative", "itc")),
        (20, ("micro", "negative", "negative", "itc", "negative")),
        (99, ("macro", "macro")),
    ):
        rows.append(f"patient_{patient:03d}.zip,pN0")
        for node, stage in enumerate(stages):
            name = f"patient_{patient:03d}_node_{node}"
            pictures.pyramid(root / "training" / f"{name}.tif", tumours.get(name))
            rows.append(f"{name}.tif,{stage}")
    rows += ["patient_050_node_0.tif,micro", "patient_051_node_0.tif"]
    pictures.text(root / "stage_labels.csv", "\n".join(rows) + "\n")
    corner = '<Coordinate Order="{}" X="{}" Y="{}"/>'
    square = "".join(corner.format(i, x, y) for i, (x, y) in enumerate(((0, 0), (9, 0), (9, 9), (0, 9))))
    shape = '<Annotation Name="a" Type="Polygon" PartOfGroup="{}"><Coordinates>{}</Coordinates></Annotation>'
    pictures.text(
        root / "lesion_annotations" / "patient_099_node_0.xml",
        f"<ASAP_Annotations><Annotations>{shape.format('normal', square)}{shape.format('metastases', square)}"
        "</Annotations></ASAP_Annotations>",
    )
    pictures.text(root / "lesion_annotations" / "patient_020_node_0.xml", "<ASAP_Annotations>")
    pictures.text(
        root / "lesion_annotations" / "patient_020_node_1.xml",
        f"<ASAP_Annotations><Annotations>{shape.format('metastases', square)}</Annotations></ASAP_Annotations>",
    )

    for name, (x, y, radius) in tumours.items():
        angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
        corners = "".join(
            corner.format(i, round(x + radius * np.cos(angle), 1), round(y + radius * np.sin(angle), 1))
            for i, angle in enumerate(angles)
        )
        pictures.text(
            root / "lesion_annotations" / f"{name}.xml",
            f"<ASAP_Annotations><Annotations>{shape.format('metastases', corners)}</Annotations></ASAP_Annotations>",
        )


def camelyon17_mirror(root: Path) -> None:
    """The newer layout: `stages.csv`, `images/`, `annotations/`, `masks/`, a patient that is still packed."""
    for node, stage in enumerate(("negative", "macro")):
        name = f"patient_017_node_{node}"
        pictures.slide(root / "images" / f"{name}.tif")
        if stage == "macro":
            pictures.mask(root / "masks" / f"{name}_mask.tif", 96, 64, (20, 20, 6))
    pictures.text(
        root / "stages.csv",
        "patient,stage\npatient_017_node_0.tif,negative\npatient_017_node_1.tif,macro\n",
    )
    square = "".join(
        f'<Coordinate Order="{3 - i}" X="{9 * (i in (1, 2))}" Y="{9 * (i > 1)}"/>' for i in range(4)
    )
    pictures.text(
        root / "annotations" / "patient_017_node_1.xml",
        '<ASAP_Annotations><Annotations><Annotation PartOfGroup="metastases" Type="Spline"><Coordinates>'
        f"{square}</Coordinates></Annotation></Annotations></ASAP_Annotations>",
    )
    pictures.text(root / "patient_018.zip", "not unpacked")


def camelyon16(root: Path) -> None:
    """Upper-case names, the duplicate of the test set, a tumour slide without outlines, exclusions (`_2`) among
    tumour (`_0`, `_1`), a coordinate that is missing, a row of the reference that is cut off, a stray file."""
    for name in (
        "Normal_001",
        "normal_002",
        "Tumor_001",
        "tumor_002",
        "Test_001",
        "test_002",
        "Test_114",
        "overview",
    ):
        pictures.slide(root / f"{name}.tif")
    shape = "".join(f'<Coordinate Order="{i}" X="{i * 3}" Y="{i % 2}"/>' for i in range(4))

    def annotation(*groups: str, corners: str = shape) -> str:
        drawn = (
            f'<Annotation PartOfGroup="{group}"><Coordinates>{corners}</Coordinates></Annotation>'
            for group in groups
        )
        return f"<ASAP_Annotations><Annotations>{''.join(drawn)}</Annotations></ASAP_Annotations>"

    pictures.text(root / "annotations" / "Tumor_001.xml", annotation("_2", "_0", "_1"))
    pictures.text(root / "annotations" / "Test_002.xml", annotation("_0"))
    pictures.text(
        root / "annotations" / "tumor_002.xml", annotation("_0", corners='<Coordinate Order="0" X="4"/>')
    )
    pictures.text(root / "reference.csv", "test_001,Normal,None,None\ntest_002,Tumor,None,Macro\ntest_003\n")


def tmi2015(root: Path) -> None:
    """A mask in its folder, a mask beside the image, points as text and as MATLAB writes them, broken points, a
    mask without an image, and an image with nothing."""
    from scipy.io import savemat

    for name in ("1001_a", "1001_b", "1002_a", "1003_a", "1004_a", "1005_a"):
        pictures.colour(root / "images" / f"{name}.png", 64, 64)
    pictures.mask(root / "masks" / "1001_a.png", 64, 64, (20, 20, 6))
    pictures.mask(root / "images" / "1001_b_mask.png", 64, 64, (30, 30, 6))
    pictures.text(root / "images" / "1002_a.csv", "x,y\n10,12\n40.5,33\n")
    savemat(str(root / "images" / "1004_a.mat"), {"detection": np.array([[7.0, 9.0], [30.0, 41.0]])})
    # The file's heading holds the time of writing; the same tree must have the same bytes.
    with (root / "images" / "1004_a.mat").open("r+b") as written:
        written.write(b"MATLAB 5.0 MAT-file".ljust(116))
    pictures.text(root / "images" / "1005_a.txt", "3 4\n5 north\n")
    pictures.mask(root / "masks" / "1009_a.png", 64, 64, (20, 20, 6))


def idc(root: Path) -> None:
    """Patients with both classes, folders that contradict the name, a stray file."""
    for patient in ("10253", "10254", "10255", "10256", "10257"):
        for label in ("0", "1"):
            for x in (101, 151):
                name = f"{patient}_idx5_x{x}_y751_class{label}.png"
                pictures.colour(root / patient / label / name, 50, 50)
    pictures.colour(root / "10253" / "0" / "10253_idx5_x901_y751_class1.png", 50, 50)
    pictures.colour(root / "10253" / "0" / "10254_idx5_x901_y751_class0.png", 50, 50)
    pictures.text(root / "10253" / "0" / "notes.txt", "not a patch")


def crc8(root: Path) -> None:
    """Eight tissues, two fields of view each; a folder whose number and name contradict, a stray file."""
    base = root / "Kather_texture_2016_image_tiles_5000"
    tissues = ("TUMOR", "STROMA", "COMPLEX", "LYMPHO", "DEBRIS", "MUCOSA", "ADIPOSE", "EMPTY")
    for number, tissue in enumerate(tissues, start=1):
        for field in ("10009_CRC-Prim-HE-03_009", "1001A_CRC-Prim-HE-08_024"):
            for column in (1, 151):
                name = f"{column}{field}.tif_Row_301_Col_{column}.tif"
                pictures.colour(base / f"0{number}_{tissue}" / name, 48, 48)
    pictures.colour(base / "02_TUMOR" / "1_CRC-Prim-HE-01_001.tif_Row_1_Col_1.tif", 48, 48)
    pictures.colour(base / "08_EMPTY" / "overview.tif", 48, 48)
