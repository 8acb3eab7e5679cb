# shellcheck shell=sh
# drctl, on the host: runs probes, starts durable jobs or attaches to them, and ends them.
#
# Sent on standard input to "sh -s", with one call of drctl as its last line. That line ends with the word "whole", and
# nothing is done without it: a connection may die anywhere in the text, and half a script is a script too.
#
# A job lives in ${XDG_STATE_HOME:-~/.local/state}/drctl/jobs/NAME, and stays there across reboots:
#   claim    "boot-id pid start-ticks token epoch sha256": whose it is. It is made with ln (link(2)), which is atomic
#            and fails when the name is taken. As the file is complete before it gets that name, there is no moment
#            at which a claim has no owner: a starter that is killed before it leaves the name free.
#   rc.*     the exit code, three digits, synced; 999 until there is one. It counts when the worker has gone.
#   out err  the output.          killed  why drctl ended it ("timeout" or "kill"), when it did.
# Those with a * end in the token of a starter; the claim says which one's they are. The epoch is by the operator's
# clock. The script itself is never a file there: it may hold secrets.
#
# Whether the worker lives, its starter is told by the pipe between them, which ends when the worker does, however it
# went. Whoever comes later looks for the process with the claim's id and start time, as an id may be used again.
#
# Each program that is started costs about a millisecond, which is what an empty job may cost twice: so the shell's own
# words are used where there are any, and files are made once and written in place.

# A shell writes "Terminated" when a child was ended by a signal. That is not the script's own output, and so the
# script's standard error is descriptor 3 here.
exec 3>&2 2>/dev/null

# drctl_place NAME: sets job, and makes the directory that all of them are in. A user without a home that can be written has it below
# /var/tmp, which outlives a reboot too; a directory there that is not ours is never used.
drctl_place() {
    umask 077
    drctl_home
    if ! drctl_jobs; then
        jobs=/var/tmp/drctl-$(id -u)
        mkdir "$jobs" 2>/dev/null
        # shellcheck disable=SC3067 # not in POSIX, and in every shell that a host has as sh
        if [ -L "$jobs" ] || [ ! -d "$jobs" ] || [ ! -O "$jobs" ]; then
            why="neither the home of $(id -un) nor /var/tmp can hold drctl's jobs"
            return 1
        fi
        jobs=$jobs/jobs
        drctl_jobs || { why="cannot make $jobs"; return 1; }
    fi
    job=$jobs/$1
}

drctl_home() {
    case ${XDG_STATE_HOME:-} in
        /*) jobs=$XDG_STATE_HOME/drctl/jobs ;;
        *) jobs=${HOME:-/nonexistent}/.local/state/drctl/jobs ;;
    esac
}

# drctl_there: sets jobs to the directory of all jobs, where there is one.
drctl_there() {
    drctl_home
    [ ! -d "$jobs" ] || [ ! -w "$jobs" ] || return 0
    jobs=/var/tmp/drctl-$(id -u)/jobs
    # shellcheck disable=SC3067 # as above
    [ -d "$jobs" ] && [ ! -L "${jobs%/*}" ] && [ -O "$jobs" ]
}

# drctl_jobs: makes the directory of all jobs. The mark beside it comes last: it says that a power cut leaves it there.
drctl_jobs() {
    if [ ! -d "$jobs" ] || [ ! -e "${jobs%/*}/kept" ]; then
        mkdir -p "$jobs" 2>/dev/null || return 1
        above=$jobs
        while [ -n "$above" ]; do
            if [ -w "$above" ]; then sync "$above" 2>/dev/null || sync; fi
            above=${above%/*}
        done
        true >"${jobs%/*}/kept"
    fi 2>/dev/null
    [ -w "$jobs" ]
}

drctl_boot() {
    boot_now=unknown
    read -r boot_now </proc/sys/kernel/random/boot_id
} 2>/dev/null

# The words that drctl reads: a first line on standard output, and the token alone on standard error, so that what a
# login shell or sudo wrote before is told apart from the script's own output.
drctl_say() {
    printf '%s %s\n' "$token" "$*"
}

# A process in a session (and so a process group) of its own, with the id that the caller sees. Not "&", which would
# make the script and all that it starts ignore SIGINT, for good.
drctl_session() {
    if command -v setsid >/dev/null 2>&1; then
        exec setsid "$@"
    elif command -v perl >/dev/null 2>&1; then
        # shellcheck disable=SC2016 # perl's own variables
        exec perl -e 'use POSIX (); POSIX::setsid(); exec { $ARGV[0] } @ARGV' "$@"
    elif command -v python3 >/dev/null 2>&1; then
        exec python3 -c 'import os, sys; os.setsid(); os.execvp(sys.argv[1], sys.argv[1:])' "$@"
    fi
    cat >/dev/null
    echo "this host has none of setsid, perl and python3: a script cannot be given a process group"
    exit 1
}

# drctl_feed TEXT: to a pipe, and never through a program's arguments, where printf is not part of the shell.
drctl_feed() {
    if PATH=/nowhere command printf ''; then
        printf '%s\n' "$1"
    else
        cat <<DRCTL_FEED
$1
DRCTL_FEED
    fi
}

# drctl_members GROUP START: the process ids in the group, zombies left out; none when the process of that id is not
# the one that started then: the number has been used again, and that group is nobody's business of ours.
drctl_members() {
    members=
    for stat in /proc/[0-9]*/stat; do
        { read -r line <"$stat"; } 2>/dev/null || continue
        number=${line%% *}
        # shellcheck disable=SC2086 # split on purpose; the name of the program, in parentheses, has been taken off
        set -- "$1" "$2" ${line##*) }
        if [ "$number" = "$1" ] && [ "${22}" != "$2" ]; then
            members=
            return
        fi
        if [ "$5" = "$1" ] && [ "$3" != Z ] && [ "$3" != X ]; then
            members="$members $number"
        fi
    done
}

drctl_uptime() {
    read -r uptime rest </proc/uptime
    uptime=${uptime%%.*}
}

# drctl_await GROUP START SECONDS: until the group is empty. Signals take effect in milliseconds, or not at all; the
# time is looked at because looking through /proc takes a while on a host with many processes.
drctl_await() {
    drctl_uptime
    deadline=$((uptime + $3))
    while drctl_members "$1" "$2" && [ -n "$members" ] && drctl_uptime && [ "$uptime" -lt "$deadline" ]; do
        sleep 0.05 2>/dev/null || sleep 1
    done
    [ -z "$members" ]
}

# drctl_end GROUP START GRACE: TERM, and after GRACE seconds KILL. True when it is seen that nothing of it runs.
drctl_end() {
    drctl_members "$1" "$2"
    [ -n "$members" ] || return 0
    kill -s TERM -- "-$1" 2>/dev/null
    drctl_await "$1" "$2" "$3" && return 0
    kill -s KILL -- "-$1" 2>/dev/null
    drctl_await "$1" "$2" 5
}

# drctl_copy FILE FROM: the bytes from the offset FROM to the present end; sets copied to the new offset. What the
# script left running may write for ever, so an end is set.
drctl_copy() {
    copied=$2
    [ -s "$1" ] || return 0
    size=$(wc -c <"$1")
    [ "$((size))" -gt "$2" ] || return 0
    copied=$((size))
    if [ "$2" -gt 0 ]; then
        tail -c "+$(($2 + 1))" "$1" | head -c "$((copied - $2))"
    else
        head -c "$copied" "$1"
    fi
}

# drctl_code: whether there is an exit code; sets code.
drctl_code() {
    code=999
    { read -r code <"$job/rc.$owner"; } 2>/dev/null
    case $code in
        999) return 1 ;;
        [0-9][0-9][0-9]) ;;
        *) code=999; return 1 ;; # a power cut may leave the file empty
    esac
}

# drctl_works: whether the job's worker is there.
drctl_works() {
    { read -r line <"/proc/$pid/stat"; } 2>/dev/null || return 1
    # shellcheck disable=SC2086 # split on purpose
    set -- ${line##*) }
    [ "$1" != Z ] && [ "$1" != X ] && [ "${20}" = "$start" ]
}

# For who has no pipe to the worker, or no tail that can watch a process: look, and wait longer each time, up to a second.
drctl_look() {
    out_at=$1
    err_at=$2
    nap=5
    over=
    while :; do
        drctl_works || over=1
        drctl_copy "$job/out" "$out_at"
        moved=$((copied - out_at))
        out_at=$copied
        drctl_copy "$job/err" "$err_at" >&2
        moved=$((moved + copied - err_at))
        err_at=$copied
        [ -z "$over" ] || return 0
        if [ "$moved" -gt 0 ]; then nap=5; elif [ "$nap" -lt 100 ]; then nap=$((nap * 2)); fi
        [ "$nap" -le 100 ] || nap=100
        sleep "$(printf '%d.%02d' $((nap / 100)) $((nap % 100)))" 2>/dev/null || sleep 1
    done
}

# Where tail can: it wakes on each write (inotify). The worker's end closes the pipe; touch then wakes it at once.
drctl_watch() {
    exec 7<&0 # standard input itself is taken away from what runs in the background
    cat <&7 >/dev/null &
    watch=$!
    exec 7<&-
    tail -c "+$(($1 + 1))" -s 0.2 --pid="$watch" --follow=name "$job/out" 2>/dev/null &
    tail_out=$!
    tail -c "+$(($2 + 1))" -s 0.2 --pid="$watch" --follow=name "$job/err" >&2 2>/dev/null &
    tail_err=$!
    wait "$watch"
    touch "$job/out" "$job/err"
    wait "$tail_out"
    wait "$tail_err"
}

# drctl_follow OUT ERR: the output from these offsets until the job has ended, and then one line of fixed length that
# says how. Standard input says first whether the job was started by us, and if it was, it says "over" when the job has
# ended, or "slow" before that. It ends when the worker does.
drctl_follow() {
    verdict="the job's shell could not be started"
    read -r verdict
    case $verdict in
        started | attached) ;;
        "held "*) drctl_say "$verdict"; return ;;
        *) drctl_say refused "$verdict"; return ;;
    esac
    boot=''; pid=0; start=0; owner=''
    read -r boot pid start owner began digest <"$job/claim"
    drctl_boot
    drctl_say "$verdict" "$pid" "$start" "$began" "$digest"
    printf '%s\n' "$token" >&2
    news=slow
    if [ "$verdict" = started ]; then
        news=gone
        read -r news
    fi
    if [ "$news" != slow ] || [ "$boot" != "$boot_now" ]; then
        drctl_copy "$job/out" "$1"
        drctl_copy "$job/err" "$2" >&2
    elif [ "$verdict" = started ] && tail --pid=$$ -c 0 /dev/null 2>/dev/null; then
        drctl_watch "$1" "$2"
    else
        drctl_look "$1" "$2"
    fi
    # Whoever ends a job that can no longer write its exit code writes it in its place, a moment later.
    tries=200
    while ! drctl_code && [ -e "$job/killed" ] && [ "$boot" = "$boot_now" ] && [ "$tries" -gt 0 ]; do
        sleep 0.1 2>/dev/null || sleep 1
        tries=$((tries - 1))
    done
    state=lost; reason=-
    if [ -e "$job/killed" ]; then read -r reason <"$job/killed"; fi
    if drctl_code; then
        state=finished
        # The worker may have been killed between writing it and syncing it.
        [ "$news" = over ] || sync "$job/rc.$owner" 2>/dev/null || sync
    elif [ "$boot" != "$boot_now" ]; then
        state=rebooted
    fi
    [ "$code" != 999 ] || code=000
    printf '%s %-8s %3s %-7s\n' "$token" "$state" "$code" "$reason"
}

# drctl_prepare FEED: makes what the worker needs while it is being started, and says what it shall do.
drctl_prepare() {
    [ -d "$job" ] || mkdir "$job"
    drctl_feed "$1"
}

# drctl_job NAME TOKEN OUT ERR FEED: start the job of that name, or attach to it.
drctl_job() {
    token=$2
    drctl_place "$1" || { drctl_say refused "$why"; return 0; }
    if [ -e "$job/claim" ]; then
        echo attached | drctl_follow "$3" "$4" 2>&3
    else
        drctl_prepare "$5" | drctl_session sh -s -- "$job" "$token" 2>&1 3>&- | drctl_follow "$3" "$4" 2>&3
    fi
}

# drctl_probe TOKEN FEED: run a script in a process group of its own; its exit code is ours.
drctl_probe() {
    token=$1
    drctl_feed "$2" | drctl_session sh -s 2>&3 3>&-
}

# drctl_stop TOKEN GROUP START GRACE: end a probe.
drctl_stop() {
    token=$1
    if drctl_end "$2" "$3" "$4"; then drctl_say gone; else drctl_say left "$members"; fi
}

# drctl_kill NAME TOKEN REASON GRACE: end a job. A job that was never started gets a claim and an exit code all the
# same, so that a start which is still on its way (in the buffers of a host that hung) comes too late.
drctl_kill() {
    token=$2
    drctl_place "$1" || { drctl_say refused "$why"; return 0; }
    drctl_boot
    [ -d "$job" ] || mkdir "$job"
    if [ ! -e "$job/claim" ] && printf '%s 0 0 %s 0 -\n' "$boot_now" "$token" >"$job/claim.$token"; then
        true >>"$job/out"
        true >>"$job/err"
        ln "$job/claim.$token" "$job/claim" 2>/dev/null && never=1
    fi
    if [ ! -e "$job/claim" ]; then drctl_say refused "cannot write $job"; return 0; fi
    read -r boot pid start owner began digest <"$job/claim"
    if [ "$boot" != "$boot_now" ]; then drctl_say gone rebooted; return 0; fi
    if ! drctl_code; then
        printf '%s\n' "$3" >"$job/killed.$token" && mv "$job/killed.$token" "$job/killed"
        # It may have ended by itself while we wrote that.
        if drctl_code; then rm -f "$job/killed"; fi
    fi
    if [ "$pid" = 0 ] || drctl_end "$pid" "$start" "$4"; then
        if ! drctl_code; then
            echo 137 1<>"$job/rc.$owner"
            sync "$job/rc.$owner" "$job/claim" "$job" "$jobs" 2>/dev/null || sync
        fi
        drctl_say gone ${never:+never}
    else
        drctl_say left "$members"
    fi
}

# drctl ACTION ARGUMENTS... whole
drctl() {
    for last; do :; done
    [ "$last" = whole ] || return 1
    action=$1
    shift
    "drctl_$action" "$@"
}
