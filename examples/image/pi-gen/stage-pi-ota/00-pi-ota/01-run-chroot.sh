# Nothing is started in an image. pi-gen empties the machine id too, but only when it exports the image.
DEBIAN_FRONTEND=noninteractive apt-get install --yes /pi-ota-debs/*.deb
rm -r /pi-ota-debs
rm -f /var/lib/dbus/machine-id /var/lib/systemd/random-seed
echo uninitialized >/etc/machine-id
pi-hook check-image /
