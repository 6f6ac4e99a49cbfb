"""The command ``scf``: needs the extra ``cli`` (typer and rich)."""
