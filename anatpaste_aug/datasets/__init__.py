"""Chest radiographs to train and test on: raw downloads, splits by patient, phantoms.

>>> from anatpaste_aug.datasets import phantom_task, zhanglab_task
>>> task = zhanglab_task("downloads", size=256)  # doctest: +SKIP
>>> phantom_task(64, train=4, val=2, test=2).train.images.shape
torch.Size([4, 1, 64, 64])

Reading image files needs Pillow and tqdm, and pydicom for DICOM: ``pip install "anatpaste_aug[datasets]"``.
"""

from anatpaste_aug.datasets.dicom import read_dicom_gray
from anatpaste_aug.datasets.images import load_images, read_gray
from anatpaste_aug.datasets.phantom import FINDINGS, Phantom, PhantomBatch, phantom_batch, phantom_radiograph
from anatpaste_aug.datasets.records import DatasetError, Record
from anatpaste_aug.datasets.splits import Split
from anatpaste_aug.datasets.tasks import DetectionTask, Subset, phantom_task, zhanglab_task
from anatpaste_aug.datasets.zhanglab import ZhanglabIndex, index_zhanglab, split_zhanglab

__all__ = [
    "FINDINGS",
    "DatasetError",
    "DetectionTask",
    "Phantom",
    "PhantomBatch",
    "Record",
    "Split",
    "Subset",
    "ZhanglabIndex",
    "index_zhanglab",
    "load_images",
    "phantom_batch",
    "phantom_radiograph",
    "phantom_task",
    "read_dicom_gray",
    "read_gray",
    "split_zhanglab",
    "zhanglab_task",
]
