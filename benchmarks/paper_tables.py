"""Reproduce the comparison tables of the soft compression paper, beside today's codecs.

    python benchmarks/paper_tables.py --table 2|3|4|binary --data DIR [--fashion-mnist DIR]
                                      [-j N] [--out DIR] [--images N] [--train-images N]

2       Fashion-MNIST, each class of the test images; one codebook of all training images
3       DRIVE and PH2, each with a codebook of its training folder
4       Fashion-MNIST across classes: the codebook of each class on the test images of each class
binary  MNIST thresholded at > 127 across classes

``--data`` holds ``mnist/*.gz``, ``drive/train``, ``drive/test``, ``ph2/train``, ``ph2/test``. All
codecs run on the same images in the same run, codebooks are trained in it, every file is decoded
and compared. Writes a Markdown table and a plot. ``--images`` and ``--train-images`` make a quick
run on the first images; its output is named "-reduced" and says so.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import datasets
import peers
import table_text
from measuring import SCF_AUTO, SCF_DEFAULT, SCF_PIXELS, SCF_REFERENCE, CodecSpec, Measured, Meter
from peers import Array

import softcomp_codec
from softcomp_codec.reference_books import MODE_I
from softcomp_codec.reference_training import ReferenceOptions

DEFAULT, REFERENCE = "SCF default", "SCF reference"
PUBLISHED_MODES = {"DRIVE": MODE_I}
"""Sets of photographs that the authors coded in a fixed mode; else training chooses by entropy."""

SCF_KEYS = {DEFAULT: SCF_DEFAULT, REFERENCE: SCF_REFERENCE}
AUTO_KEYS = {f"SCF auto, effort {effort}": key for effort, key in SCF_AUTO.items()}
"""Columns of ``coder="auto"``, which takes the context coder for all but tiny and bilevel images;
with the codebooks of the column `DEFAULT`."""

WITHOUT_PASTS = "SCF auto, effort 5, without JPEG pasts"
"""Column of ``coder="pixels"``, where images may have been JPEGs once (table 3)."""


@dataclass(frozen=True)
class TrainedBook:
    """A codebook that this run trained; `scheme` is the published variant of reference settings."""

    name: str
    settings: str
    path: Path
    n_images: int
    n_bytes: int
    seconds: float
    scheme: str = ""


@dataclass
class Results:
    """What a table holds.

    Attributes
    ----------
    groups : list of str
        Classes or sets of images.
    cells : dict of str to list of Measured
        By codec: what it made of each group. SCF uses the group's own codebook; the column
        `DEFAULT` has the shapes coder, those of `AUTO_KEYS` what `encode` takes by itself.
    matrices : dict of str to list of list of Measured
        By SCF's settings: [codebook's class][images' class].
    """

    kind: str
    groups: list[str]
    cells: dict[str, list[Measured]] = field(default_factory=dict)
    matrices: dict[str, list[list[Measured]]] = field(default_factory=dict)
    books: list[TrainedBook] = field(default_factory=list)
    peers: dict[str, peers.Peer] = field(default_factory=dict)


@dataclass
class Run:
    """Options of the run, and what trains and measures for it."""

    table: str
    data: Path
    fashion: Path
    workers: int
    images: int | None
    train_images: int | None
    coders: tuple[str, ...]
    meter: Meter
    folder: Path
    start: float = field(default_factory=time.monotonic)

    def tell(self, text: str) -> None:
        """Report progress on stderr."""
        print(f"[{time.monotonic() - self.start:6.0f} s] {text}", file=sys.stderr, flush=True)

    def train(self, name: str, coder: str, images: Sequence[Array]) -> TrainedBook:
        """Train a codebook on all images, and keep it in the run's folder."""
        start = time.monotonic()
        title = f"{name}, {coder}"
        options = None
        if coder == REFERENCE:
            options = ReferenceOptions(scheme_id=PUBLISHED_MODES.get(name, 0))
        book = softcomp_codec.train(
            images, name=title, workers=self.workers, holdout=0,
            settings="default" if options is None else "reference", options=options,
        )  # fmt: skip
        path = self.folder / f"{len(list(self.folder.iterdir()))}.scfb"
        book.save(path)
        seconds = time.monotonic() - start
        self.tell(f"trained {title} on {len(images):,} images in {seconds:.0f} s")
        scheme = ", ".join(part.scheme.name for part in book.reference.values())
        return TrainedBook(name, coder, path, len(images), path.stat().st_size, seconds, scheme)

    def measure_peers(self, results: Results, groups: Sequence[Sequence[Array]]) -> None:
        """Fill in what the peers make of each group."""
        results.peers = peers.peers_for(results.kind)
        for key, peer in results.peers.items():
            spec = CodecSpec(key, results.kind)
            results.cells[peer.name] = [self.meter.measure(spec, group) for group in groups]
            ratio = Measured.together(results.cells[peer.name]).total_ratio
            self.tell(f"{peer.name}: ratio {ratio:.3f}")

    def measure_book(
        self, results: Results, book: TrainedBook, groups: Sequence[Sequence[Array]]
    ) -> list[Measured]:
        """Return what SCF with a codebook makes of each group."""
        return self._measure(SCF_KEYS[book.settings], book.settings, results, book, groups)

    def measure_auto(
        self, results: Results, book: TrainedBook, groups: Sequence[Sequence[Array]]
    ) -> None:
        """Append what SCF with the coder "auto" makes of groups; a default codebook's own ones."""
        if book.settings != DEFAULT:
            return
        keys = AUTO_KEYS | ({WITHOUT_PASTS: SCF_PIXELS} if self.table == "3" else {})
        for name, key in keys.items():
            measured = self._measure(key, name, results, book, groups)
            results.cells.setdefault(name, []).extend(measured)

    def _measure(
        self,
        key: str,
        column: str,
        results: Results,
        book: TrainedBook,
        groups: Sequence[Sequence[Array]],
    ) -> list[Measured]:
        spec = CodecSpec(key, results.kind, str(book.path))
        measured = [self.meter.measure(spec, group) for group in groups]
        ratio = Measured.together(measured).total_ratio
        self.tell(f"{column}, codebook {book.name}: ratio {ratio:.3f}")
        return measured


def fashion_classes(run: Run) -> Results:
    """Table 2: one codebook of all classes."""
    train, test = labelled_sets(run)
    groups = [test.of_class(label) for label in range(10)]
    results = Results("gray8", list(test.class_names))
    for coder in run.coders:
        book = run.train("all classes", coder, list(train.images))
        results.books.append(book)
        results.cells[coder] = run.measure_book(results, book, groups)
        run.measure_auto(results, book, groups)
    run.measure_peers(results, groups)
    return results


def across_classes(run: Run) -> Results:
    """Table 4 and the binary table: a codebook of each class on the images of each class."""
    train, test = labelled_sets(run)
    groups = [test.of_class(label) for label in range(10)]
    kind = "bilevel" if run.table == "binary" else "gray8"
    results = Results(kind, list(test.class_names))
    for coder in run.coders:
        matrix = []
        results.cells[coder] = []
        for label, name in enumerate(results.groups):
            book = run.train(name, coder, train.of_class(label))
            results.books.append(book)
            matrix.append(run.measure_book(results, book, groups))
            run.measure_auto(results, book, [groups[label]])
        results.matrices[coder] = matrix
        results.cells[coder] = [matrix[label][label] for label in range(10)]
    run.measure_peers(results, groups)
    return results


def photographs(run: Run) -> Results:
    """Table 3: DRIVE and PH2."""
    results = Results("rgb8", ["DRIVE", "PH2"])
    folders = [run.data / name.lower() for name in results.groups]
    groups = [datasets.pictures(folder / "test")[: run.images] for folder in folders]
    training = [datasets.pictures(folder / "train")[: run.train_images] for folder in folders]
    for coder in run.coders:
        results.cells[coder] = []
        for name, group, images in zip(results.groups, groups, training, strict=True):
            book = run.train(name, coder, images)
            results.books.append(book)
            results.cells[coder] += run.measure_book(results, book, [group])
            run.measure_auto(results, book, [group])
    run.measure_peers(results, groups)
    return results


def labelled_sets(run: Run) -> tuple[datasets.LabelledSet, datasets.LabelledSet]:
    """Return training and test images of the table's set, cut to what the run asks for."""
    if run.table == "binary":
        source = ("MNIST", run.data / "mnist")
        train, test = (datasets.labelled_set(*source, part, 127) for part in ("train", "t10k"))
    else:
        source = ("Fashion-MNIST", run.fashion)
        train, test = (datasets.labelled_set(*source, part) for part in ("train", "t10k"))
    return train.first(run.train_images), test.first(run.images)


TABLES = {
    "2": fashion_classes,
    "3": photographs,
    "4": across_classes,
    "binary": across_classes,
}


def check_requirements() -> None:
    """Exit with what to install, before anything has taken time."""
    lacking = peers.missing_requirements()
    if find_spec("matplotlib") is None:
        lacking.append("matplotlib: pip install 'softcomp-codec[bench]'")
    if lacking:
        sys.exit("paper_tables.py needs " + "; ".join(lacking))


def main(argv: Sequence[str] | None = None) -> None:
    """Measure a table, print and write it, and draw its plot."""
    arguments = _parse(argv)
    coders = (DEFAULT,) if arguments.without_reference else (DEFAULT, REFERENCE)
    check_requirements()
    with TemporaryDirectory(prefix="scf-tables-") as folder, Meter(arguments.j) as meter:
        run = Run(
            arguments.table, arguments.data, arguments.fashion_mnist, arguments.j,
            arguments.images, arguments.train_images, coders, meter, Path(folder),
        )  # fmt: skip
        results = TABLES[run.table](run)
        seconds = time.monotonic() - run.start
    arguments.out.mkdir(parents=True, exist_ok=True)
    reduced = run.images is not None or run.train_images is not None
    stem = f"table-{run.table}" + ("-reduced" if reduced else "")
    text = table_text.report(run, results, seconds, f"{stem}.png")
    (arguments.out / f"{stem}.md").write_text(text, encoding="utf-8")
    import table_plots

    table_plots.draw(run, results, arguments.out / f"{stem}.png")
    print(text)
    run.tell(f"written to {arguments.out / stem}.md and .png")


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--table", choices=list(TABLES), required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--fashion-mnist", type=Path, default=datasets.DEFAULT_FASHION)
    parser.add_argument("-j", type=int, default=2, metavar="N", help="processes and threads")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument(
        "--images", type=int, metavar="N", help="only the first N test images of each class or set"
    )
    parser.add_argument(
        "--train-images",
        type=int,
        metavar="N",
        help="train on the first N images of each class or set",
    )
    parser.add_argument(
        "--without-reference",
        action="store_true",
        help="leave the column of the reference settings out; the table says so",
    )
    arguments = parser.parse_args(argv)
    for name in ("j", "images", "train_images"):
        if (value := getattr(arguments, name)) is not None and value < 1:
            parser.error(f"{name} is {value}, expected at least 1")
    return arguments


if __name__ == "__main__":
    main()
