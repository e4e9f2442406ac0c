#!/bin/sh
# Puts what the job was given into the state folder of pkgbuild.toml, readable by this user only.
# BUILDER_KEY is `gpg --export-secret-keys --armor`; without it (promote, withdraw) nothing can be signed.
set -eu
umask 077
state="$(dirname "$0")/state"
mkdir -p "$state/keys/builder"
printf '%s\n' "$APTLY_PASSWORD" > "$state/aptly-password"
printf '%s\n' "$SERVER_KEY" > "$state/server-key"
if [ -n "${BUILDER_KEY:-}" ]; then
    printf '%s\n' "$BUILDER_KEY" | gpg --homedir "$state/keys/builder" --batch --quiet --import
fi
