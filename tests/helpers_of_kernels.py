"""Helpers of kernels, callable from Python."""

from softcomp_codec.kernels.jit import kernel


def standing_alone(helper):
    """Return a helper, which is compiled into its callers only, as a kernel of its own."""
    return kernel(helper.py_func) if hasattr(helper, "py_func") else helper
