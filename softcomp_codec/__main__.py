"""``python -m softcomp_codec``: the command ``scf``, and ``autoload``."""

import sys


def main() -> None:
    """Run the command line."""
    if sys.argv[1:2] == ["autoload"]:
        from .autoload import main as autoload

        sys.exit(autoload(sys.argv[2:]))
    from .cli.__main__ import main as scf

    scf()


if __name__ == "__main__":
    main()
