"""Sample images of our own making: ``examples/make_samples.py`` of the repository draws them."""

from importlib.resources import files
from pathlib import Path


def list_samples() -> dict[str, Path]:
    """Return the path of each sample image by its name, in alphabetical order.

    Examples
    --------
    >>> list_samples()["retina"].name
    'retina.png'
    """
    folder = Path(str(files(__name__)))
    return {path.stem: path for path in sorted(folder.glob("*.png"))}
