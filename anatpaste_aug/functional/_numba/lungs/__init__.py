"""The kernels of `functional.lungs`."""
