"""Entry point of ``scf`` and of ``python -m softcomp_codec.cli``."""

import sys
import warnings
from importlib.util import find_spec

NEEDED = ("typer", "rich")


def main() -> None:
    """Run the command line; without typer or rich say how to install them."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        print(
            f"scf: the command line needs {' and '.join(missing)}: "
            "pip install 'softcomp-codec[cli]'",
            file=sys.stderr,
        )
        sys.exit(1)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # what Pillow thinks of a file's metadata is no news
    from .app import build_app

    build_app()(prog_name="scf")


if __name__ == "__main__":
    main()
