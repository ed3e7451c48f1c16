"""Raw downloads of chest radiographs: one record type, splits by patient, images as 8-bit tensors.

>>> from anatpaste_aug.datasets import index_zhanglab, load_images, split_zhanglab
>>> index = index_zhanglab("downloads")  # doctest: +SKIP
>>> split = split_zhanglab(index, seed=0)  # doctest: +SKIP
>>> images = load_images(index.root, split.train, size=256)  # doctest: +SKIP

Reading images needs Pillow and tqdm: ``pip install "anatpaste_aug[datasets]"``.
"""

from anatpaste_aug.datasets.images import load_images, read_gray
from anatpaste_aug.datasets.records import DatasetError, Record
from anatpaste_aug.datasets.splits import Split
from anatpaste_aug.datasets.zhanglab import ZhanglabIndex, index_zhanglab, split_zhanglab

__all__ = [
    "DatasetError",
    "Record",
    "Split",
    "ZhanglabIndex",
    "index_zhanglab",
    "load_images",
    "read_gray",
    "split_zhanglab",
]
