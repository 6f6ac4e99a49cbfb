"""The bundled pretrained codebooks; see README.md in this folder."""
