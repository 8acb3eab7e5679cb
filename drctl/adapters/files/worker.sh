# shellcheck shell=sh
# drctl, on the host: the shell that a durable job belongs to. It claims the job (see job.sh), runs the script with
# its output in files, and writes down the exit code.
#
# Sent through a pipe to "setsid sh -s -- JOB TOKEN", with a call of drctl_work as the last line. It has no terminal
# and no connection that could end it. Its standard output takes a few words back, and whoever reads them may be gone:
# started, attached or held (by another run: see hold.sh), slow when the script has had its moment, and over.

# drctl_work JOB TOKEN BEGAN SHA256 SCRIPT HOLD RUN WHO whole
drctl_work() {
    [ "$9" = whole ] || return 1
    job=$1
    token=$2
    umask 077
    # Signals to the process group end the script; this shell stays, to write down how it ended. PIPE: it outlives
    # those whom it tells. (A trap, and not "ignore", which the script and all that it starts would inherit.)
    trap : HUP INT TERM PIPE
    cd "${HOME:-/}" 2>/dev/null || cd /
    boot=unknown
    { read -r boot </proc/sys/kernel/random/boot_id; } 2>/dev/null
    read -r stat </proc/$$/stat
    drctl_start "$stat"
    [ -d "$job" ] || { echo "cannot make $job"; return 1; }
    if [ -n "$6" ] && ! drctl_hold "${job%/*/*}/services/$6" "$7 $3 $8"; then
        rmdir "$job" 2>/dev/null
        return 1
    fi
    # The exit code's file gets its block now: a full disk must not cost us the outcome.
    # ("true >>" and not ": >>", which would end the shell when it fails.)
    if ! {
        true >>"$job/out" && true >>"$job/err" && echo 999 >"$job/rc.$token" &&
            printf '%s %s %s %s %s %s\n' "$boot" $$ "$start" "$token" "$3" "$4" >"$job/claim.$token"
    } 2>/dev/null; then
        echo "cannot write to $job: the disk may be full"
        rm -f "$job/claim.$token" "$job/rc.$token"
        return 1
    fi
    # The name claim.TOKEN stays: to take it away would be one more program.
    if ! why=$(ln "$job/claim.$token" "$job/claim" 2>&1); then
        if [ -e "$job/claim" ]; then echo attached; else echo "$why"; fi
        rm -f "$job/claim.$token" "$job/rc.$token"
        return 1
    fi
    exec 8>&1 2>/dev/null # some shells say there that a child was killed

    # The script's shell is started meanwhile; should nothing follow on the first word, it has failed. The script goes
    # through a pipe, and never through a program's arguments. 8 is the pipe to the starter: what the script leaves
    # running must not hold it open.
    {
        trap : PIPE
        echo false
        # Before anything happens: a claim that a power cut took back would let the job be started again.
        # The exit code's file, too, so that it needs no more than its few bytes in place at the end.
        sync "$job/rc.$token" "$job/claim" "$job" "${job%/*}" || sync
        echo started >&8
        # Most are over by then, and need nobody who watches their output.
        { sleep 0.05 || sleep 1; echo slow; } >&8 &
        if PATH=/nowhere command printf ''; then
            printf '%s\n' "$5"
        else
            cat <<DRCTL_SCRIPT
$5
DRCTL_SCRIPT
        fi
    } | sh -s >>"$job/out" 2>>"$job/err" 8>&-
    code=$?

    printf '%03d\n' "$code" 1<>"$job/rc.$token"
    set -- "$job/rc.$token"
    [ ! -s "$job/out" ] || set -- "$@" "$job/out"
    [ ! -s "$job/err" ] || set -- "$@" "$job/err"
    sync -d "$@" || sync
    echo over
}

# drctl_start STAT: sets start, the time when the process of that line started, in clock ticks since boot.
drctl_start() {
    # shellcheck disable=SC2086 # split on purpose; the name of the program, in parentheses, has been taken off
    set -- ${1##*) }
    start=${20}
}
