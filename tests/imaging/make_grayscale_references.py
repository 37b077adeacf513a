"""Record anew what DCMTK's dcm2pnm shows of the grey cases: `python -m tests.imaging.make_grayscale_references`.

Needs `apt-get install dcmtk`. Writes `grayscale_references.npz` beside this file, one picture a case.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.imaging.grayscale_cases import Case, cases

REFERENCES = Path(__file__).with_name("grayscale_references.npz")


def picture(case: Case, folder: Path) -> NDArray[np.uint8]:
    """What dcm2pnm makes of the case, H×W uint8."""
    source, target = folder / "case.dcm", folder / "case.png"
    source.write_bytes(case.data)
    command = ["dcm2pnm", "+on", *case.options, str(source), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    if done.stderr.strip():
        print(f"{case.name}: {done.stderr.strip()}")
    with Image.open(target) as image:
        return np.asarray(image.convert("L"))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        pictures = {case.name: picture(case, Path(folder)) for case in cases() if not case.recorded_as}
    names = np.array(list(pictures))
    np.savez_compressed(REFERENCES, names=names, pictures=np.stack(list(pictures.values())))
    print(f"{len(names)} pictures, {REFERENCES.stat().st_size} bytes")


if __name__ == "__main__":
    main()
