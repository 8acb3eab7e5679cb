# shellcheck shell=sh
# drctl, on the host: which run may change a service here. Two runs of two operators have two ids, and their jobs two
# names; what both know is the service.
#
# ${XDG_STATE_HOME:-~/.local/state}/drctl/services/SERVICE@HOST holds "run epoch operator". It is made with ln, complete
# and all at once, before the run's first job there is claimed, and stays until the run is over: across connections,
# deaths of drctl and reboots.

# drctl_hold FILE "RUN EPOCH WHO": claims the service for the run, or says who has it. token is the starter's own.
drctl_hold() {
    if [ ! -e "$1" ]; then
        mkdir -p "${1%/*}"
        printf '%s\n' "$2" >"$1.$token" && ln "$1.$token" "$1"
        rm -f "$1.$token"
        sync "$1" "${1%/*}" "${1%/*/*}" || sync
    fi 2>/dev/null
    holder=
    if ! { read -r holder <"$1"; } 2>/dev/null; then
        echo "cannot claim the service in $1: the disk may be full"
        return 1
    fi
    [ "${holder%% *}" != "${2%% *}" ] || return 0
    echo "held $holder"
    return 1
}

# drctl_release NAME RUN TOKEN: lets the service go when it is that run that holds it, and says who holds it now.
drctl_release() {
    token=$3
    if ! drctl_there; then drctl_say free; return 0; fi
    # shellcheck disable=SC2154 # drctl_there sets it
    file=${jobs%/*}/services/$1
    { read -r holder <"$file"; } 2>/dev/null || holder=
    if [ "${holder%% *}" = "$2" ] && mv "$file" "$file.$token" 2>/dev/null; then
        # Another may have let it go meanwhile, and a third have claimed it: that one gets it back.
        read -r holder <"$file.$token"
        [ "${holder%% *}" = "$2" ] || ln "$file.$token" "$file"
        rm -f "$file.$token"
        sync "${file%/*}" 2>/dev/null || sync
        if [ "${holder%% *}" = "$2" ]; then drctl_say released "$holder"; return 0; fi
    fi
    if { read -r holder <"$file"; } 2>/dev/null; then drctl_say held "$holder"; else drctl_say free; fi
}
