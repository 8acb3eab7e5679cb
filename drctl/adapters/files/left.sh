# shellcheck shell=sh disable=SC2034,SC2154
# (job.sh, which goes before, sets and uses what is not set or used here.)
# drctl, on the host: what is left here of runs, and its removal. A job's directory is what keeps its step from
# happening twice, so which runs are over is said by whoever asks; what lives or is held is left alone here, too.

# drctl_left TOKEN: a line for each claim on a service ("hold RUN EPOCH WHO") and each job ("job NAME STATE EPOCH"), and
# the room that the jobs take, in kB.
drctl_left() {
    token=$1
    if ! drctl_there; then drctl_say none; return 0; fi
    drctl_boot
    drctl_say left "$(id -un)"
    for file in "${jobs%/*}"/services/*@*; do
        { read -r holder <"$file"; } 2>/dev/null && printf 'hold %s\n' "$holder"
    done
    for job in "$jobs"/*; do
        [ -d "$job" ] || continue
        began=0
        state=unclaimed
        if { read -r boot pid start owner began digest <"$job/claim"; } 2>/dev/null; then
            state=lost
            if drctl_code; then
                state=finished
            elif [ "$boot" = "$boot_now" ] && drctl_works; then
                state=running
            fi
        fi
        printf 'job %s %s %s\n' "${job##*/}" "$state" "$began"
    done
    size=$(du -sk "$jobs")
    printf 'size %s\n' "${size%%[!0-9]*}"
}

# drctl_prune TOKEN NAME...: removes these jobs, but for those that run or whose run holds a service, and says how many.
drctl_prune() {
    token=$1
    shift
    if ! drctl_there; then drctl_say none; return 0; fi
    drctl_boot
    gone=0
    for name; do
        case $name in '' | .* | */*) continue ;; esac
        job=$jobs/$name
        boot=''; pid=0; start=0; owner=''
        { read -r boot pid start owner began digest <"$job/claim"; } 2>/dev/null
        if [ "$boot" = "$boot_now" ] && drctl_works && ! drctl_code; then continue; fi
        if drctl_holds "${name%%.*}"; then continue; fi
        # First its name, so that a half-removed job is none.
        mv "$job" "$jobs/.$token" 2>/dev/null || continue
        rm -rf "$jobs/.$token" && gone=$((gone + 1))
    done
    drctl_say pruned "$gone"
}

# drctl_holds RUN: whether the run holds a service for this user.
drctl_holds() {
    for file in "${jobs%/*}"/services/*@*; do
        { read -r holder <"$file"; } 2>/dev/null && [ "${holder%% *}" = "$1" ] && return 0
    done
    return 1
}
