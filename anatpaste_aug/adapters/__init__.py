"""The transforms in other frameworks: one module each, to be imported by name where the framework is installed.

Every adapter wraps a `PasteTransform`: all settings, including the probability ``p``, are those of the transform.

from anatpaste_aug.adapters.kornia import KorniaPaste
aug = KorniaPaste(NSATransform(p=0.5))
"""
