first=no
[ -L "$current" ] || first=yes
# pi-hook alone moves devices from release to release; without it the newest release is the active one.
if [ ! -e "$current" ] || [ ! -d /usr/lib/pi-hook ]; then
    mkdir -p "${current%/*}"
    ln -sfn "$release" "$current.new"
    mv -fT "$current.new" "$current"
    sync "${current%/*}"
fi
