# shellcheck shell=sh
# drctl, on the host: the shell that a durable job belongs to. It claims the job (see job.sh), runs the script with
# its output in files, and writes down the exit code.
#
# Sent through a pipe to "setsid sh -s -- JOB TOKEN", with a call of drctl_work as the last line. It has no terminal,
# no pipe and no connection that could end it. Its standard output takes one word back: started or attached.

# drctl_work JOB TOKEN SHA256 SCRIPT whole
drctl_work() {
    [ "$5" = whole ] || return 1
    job=$1
    token=$2
    umask 077
    # Signals to the process group end the script; this shell stays, to write down how it ended.
    trap : HUP INT TERM
    cd "${HOME:-/}" 2>/dev/null || cd /
    boot=unknown
    { read -r boot </proc/sys/kernel/random/boot_id; } 2>/dev/null
    read -r stat </proc/$$/stat
    start=$(
        # shellcheck disable=SC2086 # split on purpose: field 22 is the start time in clock ticks since boot
        set -- ${stat##*) }
        echo "${20}"
    )
    mkfifo "$job/alive.$token" || return 1
    exec 9<>"$job/alive.$token"
    # The exit code's file gets its block now: a full disk must not cost us the outcome.
    # ("true >>" and not ": >>", which would end the shell when it fails.)
    if ! {
        true >>"$job/out" && true >>"$job/err" && echo 999 >"$job/rc.$token" &&
            printf '%s %s %s %s %s %s\n' "$boot" $$ "$start" "$token" "$(date +%s)" "$3" >"$job/claim.$token"
    } 2>/dev/null; then
        echo "cannot write to $job: the disk may be full"
        rm -f "$job/claim.$token" "$job/rc.$token" "$job/alive.$token"
        return 1
    fi
    if ! ln "$job/claim.$token" "$job/claim" 2>"$job/ln.$token"; then
        if [ -e "$job/claim" ]; then echo attached; else cat "$job/ln.$token"; fi
        rm -f "$job/claim.$token" "$job/rc.$token" "$job/ln.$token" "$job/alive.$token"
        return 1
    fi
    rm -f "$job/claim.$token" "$job/ln.$token"
    # Before anything happens: a claim that a power cut took back would let the job be started again.
    jobs=${job%/*}
    sync "$job/claim" "$job" "$jobs" "${jobs%/*}" "${jobs%/*/*}" 2>/dev/null || sync
    # In a shell of its own: whoever started us may be dead by now, and writing to the dead ends the writer.
    (echo started)
    exec >/dev/null 2>&1

    # To a pipe, and never through a program's arguments. 9 is the FIFO: what the script leaves running must not
    # hold it open.
    case $(command -v printf) in
        printf) printf '%s\n' "$4" ;;
        *) cat <<DRCTL_SCRIPT
$4
DRCTL_SCRIPT
            ;;
    esac 9>&- | sh -s >>"$job/out" 2>>"$job/err" 9>&-
    code=$?

    printf '%03d\n' "$code" 1<>"$job/rc.$token"
    sync "$job/out" "$job/err" "$job/rc.$token" 2>/dev/null || sync
    ln "$job/rc.$token" "$job/rc"
    rm -f "$job/rc.$token"
    sync "$job" 2>/dev/null || sync
}
