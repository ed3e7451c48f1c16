"""Downloads of the Zhang Lab radiographs with few files, which are no images."""

import os

NORMAL = ["IM-0115-0001.jpeg", "IM-0117-0001-0002.jpeg", "NORMAL2-IM-0115-0001.JPG", "NORMAL2-IM-0427-0001-0002.png"]
ILL = ["person1000_bacteria_2931.jpeg", "person1000_virus_1681.jpeg", "person7_virus_20.JPEG"]
NORMAL3 = ["NORMAL-28501-0001.jpeg", "NORMAL-28501-0002.jpeg", "NORMAL-7422-0001.jpeg"]
ILL3 = ["BACTERIA-7422-0001.jpeg", "VIRUS-3637528-0002.jpeg"]


def make(folder, names, content=None):
    """Files that are no images; no two hold the same bytes unless ``content`` is given."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(os.fsencode(folder / name) if content is None else content)


def make_tree(folder, normal=NORMAL, ill=ILL, sources=("train", "test")):
    for source in sources:
        make(folder / source / "NORMAL", normal)
        make(folder / source / "PNEUMONIA", ill)
    return folder
