"""``python -m pkgbuild``, from a checkout."""

from pkgbuild.cli import main

main(prog_name="pkgbuild")
