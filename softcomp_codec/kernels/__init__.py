"""Every compiled kernel, and nothing else.

Kernels take arrays and integers and fill preallocated arrays. They never raise on bad data: they
return a status (see `kernels.status`) and a position that the caller turns into an error.
"""
