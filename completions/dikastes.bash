# Completion of dikastes(8) for bash. tests/py/test_docs.py compares it with what --help prints.

# The value of option $1 of command $2 that begins with $3; fails if that option takes none.
_dikastes_value() {
    case $2:$1 in
    *:-l | *:--listen | client:-d | client:--dial | health:-d | health:--dial-path)
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$3")
        ;;
    server:-d | server:--dial)
        mapfile -t COMPREPLY < <(compgen -f -- "$3"; compgen -W 'unix: directory: kubernetes: localhost:50051' -- "$3")
        compopt -o nospace
        ;;
    server:--log-level) mapfile -t COMPREPLY < <(compgen -W 'debug info warning error' -- "$3") ;;
    server:--log-format) mapfile -t COMPREPLY < <(compgen -W 'logfmt json' -- "$3") ;;
    client:--method) mapfile -t COMPREPLY < <(compgen -W 'GET HEAD POST PUT PATCH DELETE OPTIONS' -- "$3") ;;
    server:--workload | server:--workers | *:--trust-domain | client:--path | client:--from-ip | client:--to-ip | client:--to-port) ;;
    *) return 1 ;;
    esac
}

_dikastes_options() {
    case $1 in
    server) echo '-l --listen -d --dial --workload --trust-domain --workers --log-level --log-format --debug -h --help' ;;
    client) echo '-d --dial --method --path --from-ip --to-ip --to-port --trust-domain --plain-text --tcp -h --help' ;;
    health) echo '-d --dial-path -h --help' ;;
    *) echo '-h --help --version' ;;
    esac
}

_dikastes() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command= words=
    COMPREPLY=()
    if [[ ${COMP_WORDS[0]##*/} == healthz ]]; then
        command=health
    elif ((COMP_CWORD > 1)); then
        command=${COMP_WORDS[1]}
    fi
    _dikastes_value "$before" "$command" "$word" && return
    if [[ $word == -* ]]; then
        words=$(_dikastes_options "$command")
    elif [[ -z $command ]]; then
        words='server client health'
    elif [[ $command == health ]]; then
        words='liveness readiness'
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}

complete -F _dikastes dikastes healthz
