"""The experiments of the AnatPaste paper, from radiographs to tables and figures (Sato et al., arXiv 2205.04282).

    python examples/reproduce_paper.py                                      # phantom radiographs, a few minutes
    python examples/reproduce_paper.py --dataset zhanglab --root DOWNLOAD   # real ones; also chexpert, rsna
    torchrun --nproc-per-node 4 examples/reproduce_paper.py --out RUN ...   # one process per GPU

The same as `anatpaste-aug reproduce`, which parses the options, resumes, and runs trainings side by side; --help lists
the options. Its steps, with the function that does each of them:

1. Read the images and split them by patient: normal ones to train on, normal and abnormal ones to validate and to test.
   `anatpaste_aug.datasets.zhanglab_task`, `chexpert_task`, `rsna_task`, `phantom_task`
2. Find the lungs of the training images once. `AnatPasteTransform().segmenter`
3. Train a network to distinguish normal images from their augmentations, for each method and seed.
   `anatpaste_aug.detection.PretextDetector.fit`
4. Score the test images by their features, compared with those of the normal training images, with the weights of the
   best validation AUROC and with the last ones. `PretextDetector.score`
5. Evaluate: AUROC with its interval, accuracy and F1 at the validation threshold, and the same for scores of one number
   per image. `anatpaste_aug.detection.studies.run_results.write_results`
6. Compare methods and seeds in the paper's tables and figures, where they are asked for (--table, --figure).
   `anatpaste_aug.detection.studies.study_report.write_study`

`train_detector.py` does steps 1 to 4 on your own images, in about seventy lines.
"""

from anatpaste_aug.cli import run_command

if __name__ == "__main__":
    raise SystemExit(run_command("reproduce", prog="python examples/reproduce_paper.py"))
