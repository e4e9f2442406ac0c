# bash completion for pi-hook(8)

_pi_hook() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command="" index
    for ((index = 1; index < COMP_CWORD; index++)); do
        if [[ ${COMP_WORDS[index]} != -* ]]; then
            command=${COMP_WORDS[index]}
            break
        fi
    done
    COMPREPLY=()
    case "$before" in
        --urgency) COMPREPLY=($(compgen -W "scheduled urgent" -- "$word")) && return ;;
        --config) COMPREPLY=($(compgen -f -- "$word")) && return ;;
        --timezone)
            COMPREPLY=($(compgen -W "$(timedatectl list-timezones 2>/dev/null)" -- "$word"))
            return
            ;;
        --at | --idle | --waiting | --device-id | --seconds | --why) return ;;
    esac
    local words=""
    case "$command" in
        "") words="status doctor explain activity hold release install rollback gate enroll rotate-token check-image daemon worker --help --version" ;;
        status | doctor) words="--json --help" ;;
        explain)
            words="--at --timezone --idle --urgency --waiting --busy --clock-unsynced --withheld --held --device-id --config
                --json --help"
            ;;
        activity) words="used busy free --seconds --why --help" ;;
        worker) words="refresh download install reinstall lists system recover --help" ;;
        check-image)
            words="--allow-enrollment-token --json --help"
            [[ $word == [/.]* ]] && COMPREPLY=($(compgen -d -- "$word"))
            ;;
        install) words="--now --help" ;;
        hold | release | rollback | gate | enroll | rotate-token | daemon) words="--help" ;;
    esac
    COMPREPLY+=($(compgen -W "$words" -- "$word"))
}

complete -F _pi_hook pi-hook
