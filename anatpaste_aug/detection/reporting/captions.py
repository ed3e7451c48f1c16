"""Headings and captions of the figures in a report."""

CAPTIONS = {
    "roc": (
        "ROC curves",
        "Each point of a curve is a threshold: the fraction of abnormal images that are found against the fraction of "
        "normal ones that are called abnormal. The area under the curve (AUROC) is 1 for a perfect detector and 0.5 "
        "for guessing.",
    ),
    "history": (
        "Training",
        "The training loss, and below it the AUROC on the validation images after each epoch, or the loss on them if "
        "they are all normal.",
    ),
    "gallery": (
        "What the network learns from",
        "Normal images, the lung mask if the method uses one, the mask of the anomaly, and the result. Training "
        "creates a new anomaly each time.",
    ),
    "extremes": (
        "Best and worst scored test images",
        "The images of each class with the lowest and the highest scores. The number above an image is its score, "
        "scaled by those of the validation images; a red frame marks a wrong decision.",
    ),
    "figure1": (
        "Figure 1: what the augmentations paste",
        "Normal training images and their augmentations. The red frame marks the change, and the inset magnifies it.",
    ),
    "figure3": (
        "Figure 3: ROC curves of the methods",
        "On the test images; for several seeds, the curve is that of their ensemble. Brackets: 95 % interval of the "
        "area.",
    ),
    "figure4": (
        "Figure 4: scored test images",
        "The test images of each class with the lowest and the highest scores. The number above an image is its score, "
        "scaled by those of the validation images; a red frame marks a wrong decision.",
    ),
    "figure5": (
        "Figure 5: where the network looks",
        "Grad-CAM of the first seed's network: bright areas contribute to the class “augmented”. It explains the "
        "pretext task, not the score of the features. Abnormal images with the highest and the lowest scores, then "
        "normal ones with the highest scores.",
    ),
}
"""Key -> heading and caption of a figure, in the order of the report."""
