"""The maps of many pictures as arrays, batch by batch: python examples/batch_maps.py runs/photos holiday/ maps.npz

For overlays and sheets of a folder there is `payattention maps RUN FOLDER`; this is for programs of your own.
"""

import sys
from pathlib import Path

import numpy as np

import payattention as pa

BATCH = 64  # pictures that are in memory at a time


def write_maps(run: Path, folder: Path, out: Path) -> int:
    """Writes the combined map (H, W) in 0 ... 1, the label and the probability of each .jpg and .png; their number."""
    model = pa.load(run)
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in (".jpg", ".png"))
    if not files:
        raise SystemExit(f"{folder}: no .jpg or .png file in it")
    arrays: dict[str, np.ndarray] = {}
    for first in range(0, len(files), BATCH):
        batch = files[first : first + BATCH]
        for file, seen in zip(batch, pa.explain(model, batch), strict=True):  # pictures of equal size are one pass
            name = file.relative_to(folder).as_posix()
            arrays[f"{name} map"] = seen.combined.astype(np.float16)
            arrays[f"{name} label"] = np.array(f"{seen.label} {seen.probability:.3f}")
    np.savez_compressed(out, **arrays)
    return len(files)


if __name__ == "__main__":
    print(f"{write_maps(*map(Path, sys.argv[1:4]))} pictures")
