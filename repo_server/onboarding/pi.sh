#!/bin/sh
# Puts pi-hook, the agent that keeps a voice assistant up to date, on this Raspberry Pi, and registers it:
#
#     curl -fsSL SERVER/onboarding/pi.sh | sudo sh -s -- --token TOKEN --assistant NAME
#
# What it does, in this order; `sh pi.sh --help` lists the options:
#
#  1. looks whether this Pi is fit for it, and whether the server takes the token; nothing is changed until then,
#  2. installs debsig-verify from Debian,
#  3. fetches the repository's public key and, with apt, the packages pi-hook and pi-ota-keyring. All that this takes,
#     the token too, lies in a folder in memory (/run) that goes when the script ends: no source is added to the system,
#  4. installs pi-ota-keyring, has debsig-verify check the builder's signature of pi-hook, and installs that,
#  5. writes /etc/pi-hook/pi-hook.toml (for root alone), and waits until the agent has registered. The agent then deletes
#     the token there, and writes its own apt source and credentials.
#
# Run it again whenever it was cut off: what is done is not done twice. `--undo` takes everything away.
#
# All of it is in functions that the last line calls, so that a download that breaks off runs nothing.
set -eu

SERVER='@SERVER@' # where this script was fetched

SETTINGS=/etc/pi-hook/pi-hook.toml
SOURCE=/etc/apt/sources.list.d/pi-ota.sources
KEPT=/var/lib/pi-ota-onboarding # which packages were here before; for --undo
MARK='# Written by the onboarding script of'
WAIT_SECONDS=180
DAY=86400

usage() {
    cat <<'END'
usage: pi.sh --token TOKEN --assistant NAME [options]
       pi.sh --undo [--all]

  --token TOKEN       the enrollment token, as the server's page /setup/devices shows it
  --token-file FILE   the same from a file: on a Pi that others use, who could see it in the list of processes.
                      Without either, you are asked for it
  --assistant NAME    the assistant's Debian package
  --channel CHANNEL   stable unless said otherwise; a channel of the token's own wins
  --gpio 17,27        BCM numbers of the pins of its buttons
  --timezone ZONE     as Europe/Berlin; the system's without it
  --server URL        another address of the server than the one that this script was fetched from
  --undo              take agent, keys, settings and credentials away; the assistant stays, and stays as it is
  --all               with --undo: the assistant's packages as well
END
}

say() { printf 'pi-ota: %s\n' "$*"; }

fail() {
    printf 'pi-ota: %s\n' "$*" >&2
    exit 1
}

main() {
    token='' token_file='' assistant='' channel=stable gpio='' timezone='' undo='' all=''
    while [ $# -gt 0 ]; do
        case $1 in
            --undo) undo=yes ;;
            --all) all=yes ;;
            --help | -h) usage && exit 0 ;;
            --token | --token-file | --assistant | --channel | --gpio | --timezone | --server)
                [ $# -ge 2 ] || fail "$1 takes a value; --help lists the options"
                case $1 in
                    --token) token=$2 ;;
                    --token-file) token_file=$2 ;;
                    --assistant) assistant=$2 ;;
                    --channel) channel=$2 ;;
                    --gpio) gpio=$2 ;;
                    --timezone) timezone=$2 ;;
                    --server) SERVER=$2 ;;
                esac
                shift
                ;;
            *) fail "$1 is no option; --help lists them" ;;
        esac
        shift
    done
    [ -z "$all" ] || [ -n "$undo" ] || fail "--all belongs to --undo"
    check_system
    make_work_folder
    if [ -n "$undo" ]; then
        take_away
        return
    fi
    check_options
    check_other_server
    if registered && has_packages; then
        say "this Pi is registered at $SERVER already; nothing was changed"
        exit 0
    fi
    if ! has_packages; then
        read_token
        check_server
        remember_packages
        get_packages
    fi
    write_settings
    wait_until_registered
}

# --- what has to be so -----------------------------------------------------------------------------------------------

check_system() {
    [ "$(id -u)" -eq 0 ] || fail "this is for root: put sudo before sh"
    if ! command -v apt-get >/dev/null || ! command -v dpkg >/dev/null; then
        fail "there is no apt here; pi-ota is for Debian 12 and 13, and for Raspberry Pi OS of these"
    fi
    # shellcheck source=/dev/null
    debian=$(. /etc/os-release 2>/dev/null && echo "${ID:-unknown} ${VERSION_CODENAME:-unknown}") || debian='unknown unknown'
    case $debian in
        'debian bookworm' | 'debian trixie' | 'raspbian bookworm' | 'raspbian trixie') debian=${debian#* } ;;
        *) fail "this is $debian; pi-ota is for Debian 12 (bookworm) and 13 (trixie), and for Raspberry Pi OS of these" ;;
    esac
    [ -d /run/systemd/system ] || fail "systemd does not run here: this is for a Pi that runs. For an image, see examples/image"
    # Both would forget at the next start what is written now. The overlay of raspi-config has its upper folder in memory.
    if [ ! -w /etc ] || [ ! -w /var/lib/dpkg ]; then
        fail "the root file system is read-only: mount it for writing, then run this again"
    fi
    if overlay_in_memory; then
        fail "the overlay file system is on, so all would be gone at the next start: sudo raspi-config nonint" \
            "disable_overlayfs, restart, then run this again"
    fi
}

overlay_in_memory() {
    upper=$(awk '$2 == "/" && $3 == "overlay" { print "," $4 }' /proc/mounts | sed -n 's/.*,upperdir=\([^,]*\).*/\1/p' | tail -n 1)
    case $upper in
        '') return 1 ;;
        /run/* | /media/root-rw* | /overlay*) return 0 ;;
        *) return 1 ;;
    esac
}

make_work_folder() {
    # In memory, for root alone, and gone in whatever way this ends.
    umask 022
    work=$(mktemp -d /run/pi-ota-onboarding.XXXXXXXX)
    trap 'rm -rf "$work"' EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive APT_LISTCHANGES_FRONTEND=none NEEDRESTART_SUSPEND=1
}

# Everything that goes into a file of another format is one line, of letters that mean nothing there.
matches() { [ "$(printf '%s' "$1" | wc -l)" -eq 0 ] && printf '%s\n' "$1" | grep -Eqx -- "$2"; }

check_options() {
    SERVER=${SERVER%/}
    case $SERVER in
        @*) fail "name the server: --server https://updates.example.org" ;;
        https://*) protocols='=https' ;;
        http://localhost | http://localhost:* | http://127.0.0.1 | http://127.0.0.1:*) protocols='=http' ;;
        *) fail "$SERVER has no TLS: anybody on the way could put another program in the place of this one. Use https://" ;;
    esac
    matches "$SERVER" 'https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?' || fail "$SERVER is not https://HOST or https://HOST:PORT"
    [ -n "$assistant" ] || fail "name the assistant's package: --assistant NAME"
    matches "$assistant" '[a-z0-9][a-z0-9+.-]+' || fail "$assistant cannot be the name of a Debian package"
    matches "$channel" '[a-z0-9][a-z0-9+.-]*' || fail "$channel cannot be the name of a channel"
    if [ -n "$gpio" ]; then
        matches "$gpio" '[0-9]{1,2}(,[0-9]{1,2})*' || fail "--gpio takes BCM numbers with commas between them, as 17,27"
    fi
    if [ -n "$timezone" ]; then
        matches "$timezone" '[A-Za-z0-9_+/-]+' || fail "$timezone is not a time zone; it looks like Europe/Berlin"
        if [ -d /usr/share/zoneinfo ] && [ ! -f "/usr/share/zoneinfo/$timezone" ]; then
            fail "there is no time zone $timezone; \`timedatectl list-timezones\` lists them"
        fi
    fi
}

check_other_server() {
    for file in "$SOURCE" "$SETTINGS" /etc/pi-hook/pi-hook.d/*.toml; do
        [ -f "$file" ] || continue
        other=$(sed -n 's|^URIs: *\(.*\)/repo/.*|\1|p; s|^ *url *= *"\(.*\)".*|\1|p' "$file" | head -n 1)
        if [ -n "$other" ] && [ "$(lower "${other%/}")" != "$(lower "$SERVER")" ]; then
            fail "this Pi belongs to $other ($file). To move it, run this with --undo first"
        fi
    done
}

lower() { printf '%s' "$1" | tr '[:upper:]' '[:lower:]'; }

read_token() {
    if [ -n "$token_file" ]; then
        token=$(cat "$token_file") || fail "the token cannot be read from $token_file"
    elif [ -z "$token" ] && (: </dev/tty) 2>/dev/null; then
        printf 'Enrollment token (it is not shown): ' >/dev/tty
        stty -echo </dev/tty
        read -r token </dev/tty || true
        stty echo </dev/tty
        echo >/dev/tty
    fi
    [ -n "$token" ] || fail "an enrollment token is needed: --token TOKEN; the server's page /setup/devices makes one"
    matches "$token" '[A-Za-z0-9_-]+' || fail "this is no enrollment token; it looks like pie_ and letters"
}

# --- the server --------------------------------------------------------------------------------------------------------

# fetch PATH FILE [OPTIONS]: sets $status to the HTTP status, 000 without an answer.
fetch() {
    path=$1 file=$2
    shift 2
    status=$(curl --silent --show-error --proto "$protocols" --connect-timeout 20 --max-time 120 --dump-header "$work/headers" \
        --output "$file" --write-out '%{http_code}' "$@" "$SERVER$path" 2>"$work/error") || status=000
}

# What the server says is wrong, from its error object.
told() { sed -n 's/.*"message": *"\(.*\)"}}.*/\1/p' "$1" 2>/dev/null | head -n 1; }

check_server() {
    command -v curl >/dev/null || fail "curl is missing: apt-get install curl ca-certificates"
    fetch /onboarding/archive-keyring.gpg "$work/keyring.gpg"
    case $status in
        200) ;;
        000)
            fail "$SERVER cannot be reached: $(tr -d '\n' <"$work/error"). Look at the network and at the address; this Pi's" \
                "clock says $(date), and where that is wrong no certificate holds"
            ;;
        404) fail "$SERVER has no keys for this Pi: $(told "$work/keyring.gpg")" ;;
        *) fail "$SERVER answers $status: $(told "$work/keyring.gpg")" ;;
    esac
    check_clock
    # The token goes through a file: the command line of a program is for everybody to see.
    (umask 077 && printf 'user = "enroll:%s"\n' "$token" >"$work/curl")
    list=/repo/$debian/dists/$channel/InRelease
    fetch "$list" "$work/InRelease" --config "$work/curl"
    case $status in
        200) ;;
        401) fail "the server does not take this token: $(told "$work/InRelease")" ;;
        404)
            fail "nothing is published for Debian $debian on the channel $channel. In the builder's checkout:" \
                "make release-agent CHANNEL=$channel"
            ;;
        *) fail "$SERVER$list answers $status: $(told "$work/InRelease") $(tr -d '\n' <"$work/error")" ;;
    esac
}

check_clock() {
    answered=$(sed -n 's/^[Dd]ate: *\(.*\)\r*$/\1/p' "$work/headers" | tr -d '\r' | head -n 1)
    theirs=$(date -d "$answered" +%s 2>/dev/null) || return 0
    apart=$(($(date +%s) - theirs))
    if [ "${apart#-}" -gt "$DAY" ]; then
        fail "this Pi's clock says $(date), the server's says $answered: set it first (timedatectl set-ntp true, or date -s)"
    fi
}

# --- packages ----------------------------------------------------------------------------------------------------------

has_package() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

has_packages() { has_package pi-hook && has_package pi-ota-keyring; }

remember_packages() {
    [ ! -e "$KEPT/packages" ] || return 0
    mkdir -p "$KEPT"
    dpkg-query -W -f '${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p' >"$KEPT/packages.new"
    mv "$KEPT/packages.new" "$KEPT/packages"
}

# Run apt, and wait for another one that is at work (after a start Debian's own timers are), for five minutes at most.
patiently() {
    tries=0
    until "$@" -o DPkg::Lock::Timeout=300 >"$work/log" 2>&1 </dev/null; do
        tries=$((tries + 1))
        if [ "$tries" -gt 60 ] || ! grep -q 'Could not get lock' "$work/log"; then
            return 1
        fi
        sleep 5
    done
}

# Where the power was cut while dpkg worked, apt does nothing before this. What is only half unpacked stays so until its
# file is there again.
finish_dpkg() {
    if [ -n "$(dpkg --audit)" ] || [ -n "$(find /var/lib/dpkg/updates -type f)" ]; then
        say "finishing what dpkg was interrupted in"
        dpkg --configure -a >"$work/log" 2>&1 </dev/null || true
        patiently apt-get install --fix-broken --yes || true
    fi
}

# A new image has no lists, and old ones name files that are gone: then fetch them, once.
install() {
    patiently apt-get install --yes "$@" && return 0
    if [ -z "${refreshed:-}" ]; then
        say "fetching the system's lists of packages"
        refreshed=yes
        patiently apt-get update || true
        patiently apt-get install --yes "$@" && return 0
    fi
    tail -n 20 "$work/log" >&2
    fail "apt could not install $*; see above. Mend it and run this again"
}

# pi-hook asks for these: they may go when it goes, unless they were here before.
came_by_us() {
    for package in "$@"; do
        if has_package "$package" && ! grep -qx "$package" "$KEPT/packages"; then
            apt-mark auto "$package" >/dev/null
        fi
    done
}

# pi-hook only recommends what reads pins, and a system may be set not to install that. Not every machine has all of it.
readers_of_pins() {
    [ -n "$gpio" ] || return 0
    for package in python3-gpiozero python3-lgpio; do
        if [ -n "$(apt-cache policy "$package" | sed -n '/Candidate: (none)/d; /Candidate:/p')" ]; then
            echo "$package"
        fi
    done
}

# apt on the fleet's repository alone, with nothing of /etc/apt but its settings for the network.
fleet_apt() {
    patiently apt-get --quiet \
        -o Dir::Etc::sourcelist="$work/fleet.sources" -o Dir::Etc::sourceparts="$work/none" \
        -o Dir::Etc::netrc="$work/auth.conf" -o Dir::Etc::netrcparts="$work/none" \
        -o Dir::Etc::preferences="$work/no-file" -o Dir::Etc::preferencesparts="$work/none" \
        -o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache" \
        -o APT::Sandbox::User=root -o APT::Update::Error-Mode=any -o Acquire::AllowInsecureRepositories=false "$@"
}

get_packages() {
    finish_dpkg
    if ! has_package debsig-verify; then
        say "installing debsig-verify"
        install debsig-verify
    fi
    came_by_us debsig-verify
    say "the repository's key is $(fingerprints), as $SERVER has it"

    mkdir -p "$work/none" "$work/lists/partial" "$work/cache/archives/partial" "$work/debs"
    cat >"$work/fleet.sources" <<END
Types: deb
URIs: $SERVER/repo/$debian
Suites: $channel
Components: main
Targets: Packages
Languages: none
Signed-By: $work/keyring.gpg
Valid-Until-Max: $((7 * DAY))
END
    (umask 077 && printf 'machine %s/repo\nlogin enroll\npassword %s\n' "$SERVER" "$token" >"$work/auth.conf")
    say "fetching pi-hook and pi-ota-keyring from $SERVER"
    if ! fleet_apt update; then
        tail -n 20 "$work/log" >&2
        fail "apt cannot use the repository; see above"
    fi
    if ! (cd "$work/debs" && fleet_apt download pi-hook pi-ota-keyring); then
        tail -n 20 "$work/log" >&2
        fail "pi-hook or pi-ota-keyring is not published on $channel. In the builder's checkout: make release-agent CHANNEL=$channel"
    fi
    if ! has_package pi-ota-keyring; then
        say "installing pi-ota-keyring"
        install "$work"/debs/pi-ota-keyring_*.deb
    fi
    debsig-verify --quiet --use-policy pi-ota.pol "$work"/debs/pi-hook_*.deb 2>"$work/error" ||
        fail "pi-hook does not carry the signature of this fleet's builder, and was not installed: $(tr -d '\n' <"$work/error")"
    say "pi-hook carries the builder's signature; installing it (a minute or two)"
    # shellcheck disable=SC2046  # names of packages, which hold no spaces
    install "$work"/debs/pi-hook_*.deb $(readers_of_pins)
    came_by_us python3-gpiozero python3-lgpio
}

fingerprints() {
    mkdir -m 700 "$work/gnupg"
    gpg --homedir "$work/gnupg" --batch --quiet --show-keys --with-colons "$work/keyring.gpg" |
        awk -F: '$1 == "pub" { first = 1 } $1 == "fpr" && first { printf "%s%s", comma, $10; comma = ", "; first = 0 }'
}

# --- settings, and the server's yes ------------------------------------------------------------------------------------

write_settings() {
    if registered; then
        return 0
    fi
    # One that this script wrote may hold a token that the server did not take; one of somebody's own stays.
    if [ -e "$SETTINGS" ] && ! grep -q "^$MARK" "$SETTINGS"; then
        say "$SETTINGS is there and stays as it is"
    else
        [ -n "$token" ] || read_token
        mkdir -p /etc/pi-hook
        (umask 077 && settings >"$SETTINGS.new")
        mv "$SETTINGS.new" "$SETTINGS"
        say "wrote $SETTINGS"
    fi
    systemctl restart pi-hook || {
        pi-hook doctor || true
        fail "pi-hook does not start; see above, and journalctl -u pi-hook"
    }
}

settings() {
    echo "$MARK $SERVER"
    printf '[server]\nurl = "%s"\n\n' "$SERVER"
    printf '[enrollment]\ntoken = "%s"\n' "$token"
    [ -z "$timezone" ] || printf '\n[device]\ntimezone = "%s"\n' "$timezone"
    printf '\n[assistant]\nname = "%s"\nchannel = "%s"\n' "$assistant" "$channel"
    [ -z "$gpio" ] || printf '\n[activity]\ngpio_pins = [%s]\n' "$(printf '%s' "$gpio" | sed 's/,/, /g')"
}

registered() { pi-hook status --json 2>/dev/null | grep -q '"registered": true'; }

pending() { pi-hook status --json 2>/dev/null | grep -q '"pending": true'; }

wait_until_registered() {
    say "waiting until the agent has registered"
    waited=0
    until registered; do
        if [ "$waited" -ge "$WAIT_SECONDS" ]; then
            pi-hook status || true
            fail "the agent is installed and not registered after $WAIT_SECONDS s; it goes on trying by itself. See above, and" \
                "journalctl -u pi-hook. With another token, run this again"
        fi
        sleep 1
        waited=$((waited + 1))
    done
    id=$(sed -n 's/.*"id": *"\([0-9a-f-]*\)".*/\1/p' /var/lib/pi-hook/identity.json | head -n 1)
    pi-hook doctor || true # the assistant itself comes with its first release: what is missing is named
    if pending; then
        say "registered: $SERVER/devices/$id. It waits until an operator approves it there"
    else
        say "registered: $SERVER/devices/$id"
    fi
}

# --- and back ----------------------------------------------------------------------------------------------------------

take_away() {
    name=$(cat "$SETTINGS" /etc/pi-hook/pi-hook.d/*.toml 2>/dev/null | sed -n '/^\[assistant\]/,/^\[/s/^ *name *= *"\(.*\)".*/\1/p' | tail -n 1)
    url=$(sed -n 's|^URIs: *https*://\(.*\)/repo/.*|\1|p' "$SOURCE" 2>/dev/null | head -n 1)
    gone=no
    finish_dpkg
    if [ "$(dpkg-query -W -f '${db:Status-Status}' pi-hook 2>/dev/null)" = half-installed ]; then
        fail "dpkg was cut off while it unpacked pi-hook, and does not know which files that has brought. Run the line" \
            "without --undo once more, and then with it"
    fi
    for package in pi-hook pi-ota-keyring; do
        # Also what was removed and not purged.
        if dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -Evqx 'not-installed'; then
            gone=yes
            say "purging $package"
            purge "$package"
        fi
    done
    if [ -n "$all" ] && [ -n "$name" ]; then
        # shellcheck disable=SC2046  # names of packages, which hold no spaces
        set -- $(assistants_packages)
        if [ $# -gt 0 ]; then
            gone=yes
            say "purging $*"
            purge "$@"
        fi
    fi
    if [ -e "$KEPT/packages" ]; then
        gone=yes
        # What goes may have been the last that needed something else.
        while
            # shellcheck disable=SC2046
            set -- $(came_along)
            [ $# -gt 0 ]
        do
            say "purging what came along, and nothing needs any more: $*"
            purge "$@"
        done
    fi
    # What purging leaves of a first installation by hand (docs/DEVICES.md), or of one that was cut off.
    for file in /etc/pi-hook "$SOURCE" /etc/apt/auth.conf.d/pi-ota.conf /etc/apt/preferences.d/pi-ota \
        /etc/apt/sources.list.d/pi-ota-bootstrap.sources /etc/apt/auth.conf.d/pi-ota-bootstrap.conf \
        /etc/apt/preferences.d/pi-ota-bootstrap /usr/share/keyrings/pi-ota-archive-keyring.gpg "$KEPT"; do
        if [ -e "$file" ]; then
            gone=yes
            rm -rf "$file"
        fi
    done
    [ -z "$url" ] || rm -f /var/lib/apt/lists/"$(printf '%s' "$url" | tr / _)"_repo_*
    if [ "$gone" = no ]; then
        say "there is nothing of pi-ota here; nothing was changed"
        return
    fi
    say "taken away. At the server the device stays until you retire it there"
    if [ -z "$all" ] && [ -n "$name" ] && [ -n "$(assistants_packages)" ]; then
        say "$name stays installed, and runs on without updates; \`apt-get purge\` removes it"
    fi
}

purge() {
    if ! patiently apt-get purge --yes "$@"; then
        tail -n 20 "$work/log" >&2
        fail "apt could not purge $*; see above. Mend it and run this again"
    fi
}

assistants_packages() {
    dpkg-query -W -f '${db:Status-Status} ${Package}\n' | awk -v name="$name" \
        '$1 != "not-installed" && ($2 == name || index($2, name "-app-") == 1 || index($2, name "-deps-") == 1 || index($2, name "-asset-") == 1) { print $2 }'
}

# Installed since, needed by nothing (dpkg only suggests debsig-verify), and not the assistant's.
came_along() {
    apt-get --simulate -o APT::AutoRemove::SuggestsImportant=false autoremove | sed -n 's/^Remv \([^ ]*\).*/\1/p' >"$work/unneeded"
    cp "$KEPT/packages" "$work/stay"
    if [ -n "$name" ]; then
        assistants_packages >>"$work/stay"
    fi
    grep -vxF -f "$work/stay" "$work/unneeded" || true
}

main "$@" </dev/null
