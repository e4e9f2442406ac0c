#!/bin/bash -e
# Brings both packages into the image: files/ has to hold one of each (examples/image/README.md).

for name in pi-hook pi-ota-keyring; do
	found=(files/"${name}"_*_all.deb)
	if [ ${#found[@]} -ne 1 ] || [ ! -f "${found[0]}" ]; then
		echo "$(pwd)/files has to hold one ${name}_*_all.deb" >&2
		exit 1
	fi
done
install -d "${ROOTFS_DIR}/pi-ota-debs"
install -m 644 files/*.deb "${ROOTFS_DIR}/pi-ota-debs/"
