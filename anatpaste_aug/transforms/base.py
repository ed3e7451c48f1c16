"""What the torchvision transforms of this package are built on."""

from typing import Any

from torchvision.transforms import v2


class Transform(v2.Transform):
    """A ``v2.Transform`` for every torchvision from 0.20 on.

    torchvision 0.21 made ``_get_params`` and ``_transform`` public as ``make_params`` and ``transform``. Subclasses
    override the public names only.
    """

    def _get_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        params: dict[str, Any] = self.make_params(flat_inputs)
        return params

    def _transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self.transform(inpt, params)
