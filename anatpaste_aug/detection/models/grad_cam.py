"""Grad-CAM: the parts of an image that the pretext network classifies as augmented (Figure 5 of the paper)."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from anatpaste_aug.detection.models.pretext_net import PretextNet, prepare_inputs


def grad_cam(
    model: PretextNet, images: Tensor, *, layer: str | None = None, target: int | None = None, batch_size: int = 32
) -> Tensor:
    """Return Grad-CAM maps (Selvaraju et al., ICCV 2017), computed by `pytorch-grad-cam`.

    Convention:
        - The map explains the *logit* of the pretext task, not the anomaly score of the features.
        - Each map is scaled to its own maximum: it says where, not how much. A map of zeros means that nothing in
          the layer supports `target`.

    Args:
        model: The pretext network; it is not changed, including its gradients and mode.
        images: N×C×H×W as `prepare_inputs` takes them, on any device.
        layer: Name of a module of `model` with a B×K×h×w output, such as `"backbone.layer4"`. None is the last
            convolution of the backbone that still sees more than one place.
        target: Class whose logit is explained: 0 is normal, 1 augmented. None is the augmented class, of several the
            one with the largest logit in each image.
        batch_size: Images per pass; it changes only speed and memory.

    Returns:
        N×1×H×W float32 on the CPU, in [0, 1].

    Raises:
        ImportError: pytorch-grad-cam is not installed.
        ValueError: No images, no such layer or class, or a backbone without such a convolution (a vision transformer).

    Example:
        >>> grad_cam(PretextNet("test_byobnet"), torch.rand(2, 1, 64, 64)).shape
        torch.Size([2, 1, 64, 64])
    """
    try:
        from pytorch_grad_cam import GradCAM
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
    except ImportError as error:
        raise ImportError("Grad-CAM needs grad-cam: pip install 'anatpaste_aug[examples]'") from error
    if images.shape[0] == 0:
        raise ValueError("no images to explain")
    with torch.inference_mode(False), torch.enable_grad():
        # A copy, since the library changes the mode and the gradients. In-place activations would change what it has
        # seen of the layer before them.
        model = copy.deepcopy(model).eval()
        for module in model.modules():
            if getattr(module, "inplace", False):
                module.inplace = False  # type: ignore[assignment]
        device = next(model.parameters()).device
        inputs = [prepare_inputs(batch, model.in_chans) for batch in images.split(batch_size)]
        first = inputs[0][:1].to(device)
        classes = model(first).shape[1]
        if target is not None and not 0 <= target < classes:
            raise ValueError(f"target must be a class from 0 to {classes - 1}, got {target}")
        chosen = _last_convolution(model, first) if layer is None else _named(model, layer)
        maps = []
        with GradCAM(model=model, target_layers=[chosen]) as cam:
            for batch in inputs:
                targets = [_augmented if target is None else ClassifierOutputTarget(target)] * len(batch)
                maps.append(torch.from_numpy(cam(input_tensor=batch.to(device), targets=targets)))
    return torch.cat(maps).unsqueeze(1).float()


def _augmented(logits: Tensor) -> Tensor:
    return logits[1:].amax()


def _named(model: PretextNet, layer: str) -> nn.Module:
    try:
        return model.get_submodule(layer)
    except AttributeError as error:
        raise ValueError(
            f"the network has no layer {layer!r}; model.named_modules() lists them, such as 'backbone'"
        ) from error


def _last_convolution(model: PretextNet, image: Tensor) -> nn.Module:
    """By order of execution; convolutions on pooled features (squeeze and excitation) see one place and don't count."""
    used: list[nn.Module] = []

    def note(module: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        if output.ndim == 4 and output.shape[2:].numel() > 1:
            used.append(module)

    convolutions = [module for module in model.backbone.modules() if isinstance(module, nn.Conv2d)]
    handles = [module.register_forward_hook(note) for module in convolutions]
    try:
        with torch.no_grad():
            model(image)
    finally:
        for handle in handles:
            handle.remove()
    if len(used) < 2:  # what a transformer has is the convolution that cuts the image into patches
        raise ValueError(
            "the backbone has no convolution that Grad-CAM could explain at this image size; name a layer with a "
            "B×K×h×w output"
        )
    return used[-1]
