#!/bin/sh
# `make release` for who is used to this name: create_update.sh v1.0.0 "Initial release" scheduled (docs/MIGRATION.md)
here=$(CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "$0")")" && pwd) || exit 1
PYTHONPATH="$here" exec /usr/bin/python3 -m pkgbuild.habits.create_update "$@"
