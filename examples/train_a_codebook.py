"""Train a codebook on pictures of one kind and encode others of the same kind with it."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

import softcomp_codec
from softcomp_codec.samples import list_samples


def main() -> None:
    # 400 bilevel digits of 28 x 28, cut from one sheet: 300 to learn from, 100 to try it on.
    with Image.open(list_samples()["digits-sheet"]) as sheet:
        cells = np.asarray(sheet).reshape(20, 28, 20, 28).swapaxes(1, 2).reshape(-1, 28, 28)
    learned, others = cells[:300], cells[300:]

    book = softcomp_codec.train(learned, name="my-digits")
    n_shapes = sum(plane.n_shapes for plane in book.planes_of("bilevel"))
    print(f"codebook {book.name}, ID {book.identifier.hex()[:16]}, {n_shapes} shapes")

    with TemporaryDirectory() as folder:
        path = Path(folder) / "my-digits.scfb"
        book.save(path)
        book = softcomp_codec.load_codebook(path)

    # Each file holds 4 bytes that name the codebook; reading needs the codebook again.
    with_book = softcomp_codec.encode_many(others, codebook=book)
    without = softcomp_codec.encode_many(others, codebook=None)
    softcomp_codec.register_codebook(book)
    for cell, data in zip(others, with_book, strict=True):
        assert np.array_equal(softcomp_codec.decode(data), cell)
    print(f"{len(others)} digits: {sum(map(len, without)):,} bytes without a codebook, "
          f"{sum(map(len, with_book)):,} with it")  # fmt: skip

    # A file that carries the codebook decodes everywhere.
    sheet_of_others = np.concatenate(list(others), axis=1)
    alone = softcomp_codec.encode(sheet_of_others, codebook=book, embed_codebook=True)
    assert np.array_equal(softcomp_codec.decode(alone), sheet_of_others)
    print(f"the same digits in one picture, with the codebook inside: {len(alone):,} bytes")


if __name__ == "__main__":
    main()
