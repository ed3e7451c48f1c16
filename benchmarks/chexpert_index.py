"""What it takes to index CheXpert's lists at their full length: seconds, and memory above that of the imports.

python benchmarks/chexpert_index.py                   # as the four archives of the full size unpack
python benchmarks/chexpert_index.py --layout merged   # train.csv, valid.csv, train/ and valid/

The lists are made up, with the published number of rows and columns, and so are the patients' folders, 74,472 and 78
of them. Their names are in the system's cache, as they have just been made. They are empty, as nothing looks into them.
"""

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from anatpaste_aug.datasets import index_chexpert

LABELS = (
    "No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,Lung Lesion,Edema,Consolidation,Pneumonia,"
    "Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,Support Devices"
)
BATCHES = ("1 (validate & csv)", "2 (train 1)", "3 (train 2)", "4 (train 3)")
LAYOUTS = {
    "batches": tuple(f"CheXpert-v1.0 batch {name}" for name in BATCHES),
    "merged": ("CheXpert-v1.0", *("CheXpert-v1.0/train",) * 3),
}
"""The folder of the lists and of valid/, then those of the training patients."""


def write_list(path: Path, rows: int) -> None:
    """A list as CheXpert's, of three views a patient, four fifths of them with findings."""
    draw = random.Random(0)
    with path.open("w", encoding="utf-8") as file:
        file.write(f"Path,Sex,Age,Frontal/Lateral,AP/PA,{LABELS}\n")
        for i in range(rows):
            ill = draw.random() < 0.8
            values = [draw.choice(("", "", "1.0", "0.0", "-1.0")) if ill else "" for _ in range(13)]
            side, view = draw.choice((("Frontal", "PA"), ("Frontal", "AP"), ("Lateral", "")))
            name = f"CheXpert-v1.0/{path.stem}/patient{i // 3:05d}/study{i % 3 + 1}/view1_{side.lower()}.jpg"
            sex, none = draw.choice(("Male", "Female")), "" if ill else "1.0"
            file.write(f"{name},{sex},{draw.randint(18, 90)},{side},{view},{none},{','.join(values)}\n")


def make_patients(folders: Sequence[Path], patients: int) -> None:
    """Folders of patients, shared out in their order."""
    for i in range(patients):
        (folders[i * len(folders) // patients] / f"patient{i:05d}").mkdir(parents=True)


def resident(name: str) -> float | None:
    """Memory of this process in MB, now (VmRSS) or at its highest (VmHWM); None where Linux's files are not there."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(name)), None)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=223_414, help="of train.csv; default: the published number")
    parser.add_argument("--layout", choices=LAYOUTS, default="batches")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        lists, *training = (Path(folder, name) for name in LAYOUTS[arguments.layout])
        make_patients(training, -(-arguments.rows // 3))
        make_patients([lists / "valid"], 78)
        write_list(lists / "train.csv", arguments.rows)
        write_list(lists / "valid.csv", 234)
        before, seconds = resident("VmRSS"), []
        for _ in range(arguments.repeats):
            start = time.perf_counter()
            index = index_chexpert(folder)
            seconds.append(time.perf_counter() - start)
        found = {"rows": index.rows["train"], "frontal, normal or abnormal": len(index.records)}
        places = {record.path.partition("/patient")[0] for record in index}
        most = resident("VmHWM")
        memory = None if before is None or most is None else most - before
        found |= {"folders": sorted(places), "seconds": statistics.median(seconds), "slowest": max(seconds)}
        print(json.dumps(found | {"MB": memory}))


if __name__ == "__main__":
    main()
