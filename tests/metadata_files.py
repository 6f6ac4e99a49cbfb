"""Metadata for tests, and pictures of other formats that have some."""

import io

from PIL import Image, ImageCms, PngImagePlugin
from plugin_files import picture


def exif_object(orientation=3):
    """Tags of the image, of the exposure and of the place."""
    exif = Image.Exif()
    exif[0x010E] = "a picture"
    exif[0x0112] = orientation
    exif.get_ifd(0x8769)[0x829A] = (1, 50)
    exif.get_ifd(0x8825)[1] = "N"
    again = Image.Exif()
    again.load(exif.tobytes())
    again.get_ifd(0x8769)[0x829A] = (1, 50)
    return again


EXIF = exif_object().tobytes()
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    b'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="3"/></rdf:RDF></x:xmpmeta>'
)
FULL = {
    "exif": EXIF,
    "icc_profile": ICC,
    "xmp": XMP,
    "dpi": (299.9994, 72),
    "aspect": (2, 1),
    "gamma": 0.45455,
    "chromaticity": (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06),
    "srgb": 0,
    "transparency": 17,
    "background": (1, 2, 3, 4),
    "comment": b"a comment\0\xff",
    "Title": "a title",
    "Autor": "Jürgen 日本",
    "loop": 0,
    "duration": 33.5,
}
"""As Pillow's ``info`` of a gray image."""


def from_other_format(name):
    """A file of another format with all metadata that it holds, and the keys that must stay."""
    image = Image.fromarray(picture("RGB"))
    exif = exif_object()
    text = PngImagePlugin.PngInfo()
    text.add_text("Title", "a title")
    text.add_text("Long", "long " * 99, zip=True)
    text.add_itxt("Autor", "Jürgen 日本", "de", "Autor")
    text.add_itxt("XML:com.adobe.xmp", XMP.decode())
    text.add(b"gAMA", (45455).to_bytes(4, "big"))
    text.add(b"cHRM", b"".join(n.to_bytes(4, "big") for n in range(31270, 31278)))
    options = {
        "PNG": {"exif": exif, "icc_profile": ICC, "dpi": (300, 299.5), "pnginfo": text,
                "transparency": (1, 2, 3)},
        "JPEG": {"exif": exif, "icc_profile": ICC, "xmp": XMP, "dpi": (72, 90), "comment": "hi"},
        "TIFF": {"exif": exif, "icc_profile": ICC, "dpi": (72.5, 720 / 11)},
        "WEBP": {"lossless": True, "exif": exif, "icc_profile": ICC, "xmp": XMP},
        "BMP": {"dpi": (90, 90)},
        "GIF": {"comment": "hi", "loop": 2, "duration": 70, "transparency": 3},
    }  # fmt: skip
    keys = {
        "PNG": "exif icc_profile xmp dpi gamma chromaticity transparency Title Long Autor "
        "XML:com.adobe.xmp",
        "JPEG": "exif icc_profile xmp dpi comment",
        "TIFF": "icc_profile dpi",
        "WEBP": "exif icc_profile xmp background",
        "BMP": "dpi",
        "GIF": "comment loop duration transparency background",
    }
    if name == "GIF":
        image = image.convert("P", palette=Image.Palette.ADAPTIVE)
    stream = io.BytesIO()
    image.save(stream, name, **options[name])
    return stream.getvalue(), keys[name].split()
