# Completion of felix(8) for bash. tests/py/test_docs.py compares it with what --help prints.

# The value of option $1 that begins with $2; fails if the option takes none.
_felix_value() {
    case $1 in
    --directory | --policy-sync-prefix) mapfile -t COMPREPLY < <(compgen -d -- "$2") ;;
    -c | --config-file) mapfile -t COMPREPLY < <(compgen -f -- "$2") ;;
    --datastore) mapfile -t COMPREPLY < <(compgen -W 'kubernetes directory' -- "$2") ;;
    --dataplane) mapfile -t COMPREPLY < <(compgen -W 'none' -- "$2") ;;
    --log-level) mapfile -t COMPREPLY < <(compgen -W 'debug info warning error' -- "$2") ;;
    --log-format) mapfile -t COMPREPLY < <(compgen -W 'logfmt json' -- "$2") ;;
    -o | --output) mapfile -t COMPREPLY < <(compgen -W 'text json' -- "$2") ;;
    --node) ;;
    *) return 1 ;;
    esac
}

_felix() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} options
    COMPREPLY=()
    _felix_value "$before" "$word" && return
    if [[ ${COMP_WORDS[1]} == check && $COMP_CWORD -gt 1 ]]; then
        options='-o --output --node -h --help'
        if [[ $word != -* ]]; then
            mapfile -t COMPREPLY < <(compgen -d -- "$word")
            return
        fi
    else
        options='--datastore --directory --node --policy-sync-prefix --dataplane -c --config-file --log-level --log-format -h --help --version'
        [[ $COMP_CWORD -eq 1 ]] && options="check $options"
    fi
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
}

complete -F _felix felix
