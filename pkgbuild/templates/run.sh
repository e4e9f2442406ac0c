#!/bin/sh
# Starts @NAME@ @VERSION@, or runs its Python with its import path: run --python ARGUMENTS
@EXPORTS@
if [ "${1-}" = --python ]; then
    shift
    exec @PYTHON@ "$@"
fi
exec @PYTHON@ -m @MODULE@ @ARGUMENTS@"$@"
