"""The transforms in other frameworks: one module each, imported by its name, which needs that framework.

Every adapter wraps a `PasteTransform`: all settings, the probability ``p`` included, are those of the transform.

from anatpaste_aug.adapters.kornia import KorniaPaste
aug = KorniaPaste(NSATransform(p=0.5))
"""
