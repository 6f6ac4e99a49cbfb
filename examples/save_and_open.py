"""Save a picture as .scf, open it again, and do the same with arrays and bytes."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

import softcomp_codec  # this import makes .scf known to Pillow and imageio
from softcomp_codec.samples import list_samples


def main() -> None:
    with Image.open(list_samples()["retina"]) as opened:
        image = opened.convert("RGB")

    # With Pillow, by the file's name. The options are those of softcomp_codec.encode.
    with TemporaryDirectory() as folder:
        path = Path(folder) / "retina.scf"
        image.save(path, effort=7, file_check=True)
        with Image.open(path) as again:
            print(f"{path.name}: {again.format} {again.mode} {again.size}, {again.info}")
            assert again.tobytes() == image.tobytes()
        n_raw = image.width * image.height * 3
        print(f"{n_raw:,} bytes of samples became {path.stat().st_size:,} bytes")

    # Without a file: arrays or images in, bytes out, the exact array back.
    array = np.asarray(image.convert("L"))
    data = softcomp_codec.encode(array)
    restored = softcomp_codec.decode(data)
    assert restored.dtype == array.dtype
    assert np.array_equal(restored, array)
    print(f"as gray: {array.nbytes:,} bytes of samples became {len(data):,} bytes")


if __name__ == "__main__":
    main()
