"""Headings and captions of the figures in a report."""

CAPTIONS = {
    "roc": (
        "ROC curves",
        "Each point of a curve is one possible threshold: how many abnormal images are found against how many normal "
        "ones are called abnormal. The area under the curve (AUROC) is 1 for a perfect detector and 0.5 for guessing.",
    ),
    "history": (
        "Training",
        "The loss of the training, and at the end of each epoch the AUROC on the validation "
        "images, or, without abnormal ones, the loss on them.",
    ),
    "gallery": (
        "What the network learns from",
        "Normal images, the lungs found in them if the method looks for them, what was pasted, and the result. "
        "Training shows a new anomaly every time.",
    ),
    "extremes": (
        "Best and worst scored test images",
        "The most clear-cut and the most mistaken images of each class; the number above an image is its score, "
        "and a red frame marks a wrong decision.",
    ),
    "figure1": (
        "Figure 1: what the augmentations paste",
        "Normal training images, and what each augmentation makes of them. The red frame marks what changed, the inset "
        "shows it larger.",
    ),
    "figure3": (
        "Figure 3: ROC curves of the methods",
        "Test images; where several seeds were trained, the curve is that of their ensemble. Brackets hold the 95 % "
        "interval of the area.",
    ),
    "figure4": (
        "Figure 4: scored test images",
        "The most clear-cut and the most mistaken test images of each class. The number above an image is its score, "
        "scaled to [0, 1] by the validation images; a red frame marks a wrong decision of the threshold.",
    ),
    "figure5": (
        "Figure 5: where the network looks",
        "Grad-CAM of the first seed's network: bright are the places that make it say “augmented”. It explains the "
        "pretext task, not the score of the features. From the highest scored abnormal images over the "
        "lowest scored ones to the highest scored normal ones.",
    ),
}
"""Key -> heading and caption of a picture in a report, in the order of the page."""
