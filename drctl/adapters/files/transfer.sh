# shellcheck shell=sh
# drctl, on the host: the far end of a file transfer. The bytes themselves come and go by another way; this says what
# is there, compares sums, and gives a file that is whole its own name.
#
# It answers on standard output in lines of "word value". "no ..." is the reason why it cannot be done, for people.
# Paths come as arguments, are absolute or below the home directory, and hold no newline.

drctl_no() {
    printf 'no %s\n' "$*"
    exit 0
}

# drctl_sum: sets sum to the sha256 of standard input.
drctl_sum() {
    if command -v sha256sum >/dev/null 2>&1; then
        sum=$(sha256sum)
    elif command -v shasum >/dev/null 2>&1; then
        sum=$(shasum -a 256)
    elif command -v openssl >/dev/null 2>&1; then
        sum=$(openssl dgst -sha256 -r)
    elif command -v sha256 >/dev/null 2>&1; then
        sum=$(sha256 -q)
    else
        drctl_no "cannot be compared: the host has none of sha256sum, shasum, openssl and sha256"
    fi
    sum=${sum%% *}
    [ ${#sum} = 64 ] || drctl_no "cannot be read to its end"
}

# drctl_size FILE: sets size, in bytes.
drctl_size() {
    size=$(wc -c <"$1") || drctl_no "cannot be read"
    size=$((size))
}

drctl_about_us() {
    printf 'cwd %s\n' "$PWD"
    printf 'rsync %s\n' "$(rsync --version 2>/dev/null </dev/null | head -n 1)"
}

# drctl_source FILE: what there is to fetch.
drctl_source() {
    [ -e "$1" ] || drctl_no "is not there (as far as $(id -un) can see)"
    [ ! -d "$1" ] || drctl_no "is a directory: one file is fetched at a time"
    [ -f "$1" ] || drctl_no "is not a regular file"
    [ -r "$1" ] || drctl_no "cannot be read by $(id -un)"
    drctl_about_us
    drctl_size "$1"
    printf 'size %s\n' "$size"
    drctl_sum <"$1"
    printf 'sum %s\n' "$sum"
}

# drctl_prefix FILE BYTES: the sum of the beginning of it.
drctl_prefix() {
    sum=$(head -c "$2" "$1" | { drctl_sum; printf '%s\n' "$sum"; })
    printf 'sum %s\n' "$sum"
}

# drctl_target FILE SIZE: what there is already of a file that is about to come.
drctl_target() {
    part=$1.drctl-part
    dir=${1%"${1##*/}"}
    dir=${dir:-.}
    [ -d "$dir" ] || drctl_no "cannot be written: there is no directory $dir"
    { [ -w "$dir" ] && [ -x "$dir" ]; } || drctl_no "cannot be written: $(id -un) may not make files in $dir"
    [ ! -d "$1" ] || drctl_no "is a directory: name the file itself"
    [ ! -e "$1" ] || [ -f "$1" ] || drctl_no "is there, and is not a regular file"
    drctl_about_us
    if [ -f "$1" ] && [ -r "$1" ]; then
        drctl_size "$1"
        if [ "$size" = "$2" ]; then
            drctl_sum <"$1"
            printf 'whole %s\n' "$sum"
        fi
    fi
    if [ -L "$part" ] || [ -e "$part" ]; then
        # In a directory for all, such as /tmp, somebody else may have made it, to read or change what we write.
        # shellcheck disable=SC3067 # not in POSIX, and in every shell that a host has as sh
        if [ -L "$part" ] || [ ! -f "$part" ] || [ ! -O "$part" ]; then
            drctl_no "cannot be written: $part is there, and is not a file of $(id -un)'s own"
        fi
        drctl_size "$part"
        if [ "$size" -gt "$2" ]; then
            rm -f "$part" || drctl_no "cannot be written: $part cannot be removed"
            size=0
        fi
        printf 'part %s\n' "$size"
        if [ "$size" -gt 0 ]; then
            drctl_sum <"$part"
            printf 'sum %s\n' "$sum"
        fi
    fi
}

# drctl_arrived FILE: how much of it has come, and how many kilobytes its disk has left, as df knows it.
drctl_arrived() {
    size=0
    [ ! -f "$1.drctl-part" ] || drctl_size "$1.drctl-part"
    printf 'part %s\n' "$size"
    df -Pk "${1%"${1##*/}"}" 2>/dev/null | while read -r _ _ _ free _; do
        printf 'free %s\n' "$free"
    done
}

# drctl_discard FILE: what came of it is of no use.
drctl_discard() {
    rm -f "$1.drctl-part" || drctl_no "cannot be written: $1.drctl-part cannot be removed"
}

# drctl_owner FILE, drctl_mode FILE: with the stat of GNU and busybox, or that of BSD.
drctl_owner() {
    stat -c %u:%g "$1" 2>/dev/null || stat -f %u:%g "$1" 2>/dev/null
}
drctl_mode() {
    mode=$(stat -c %a "$1" 2>/dev/null || stat -f %Lp "$1" 2>/dev/null) || mode=600
    # Without setuid and the like: what the new content is, and whose, is not what those bits were given for.
    mode=${mode#"${mode%???}"}
}

# drctl_finish FILE SHA256: gives it its name, when it is right. "wrong SHA256" when it is not; it is then left alone.
drctl_finish() {
    part=$1.drctl-part
    dir=${1%"${1##*/}"}
    dir=${dir:-.}
    [ -f "$part" ] || drctl_no "has not arrived: $part is not there"
    drctl_sum <"$part"
    if [ "$sum" != "$2" ]; then
        printf 'wrong %s\n' "$sum"
        return
    fi
    mode=600
    if [ -f "$1" ] && [ ! -L "$1" ]; then
        drctl_mode "$1"
        owner=$(drctl_owner "$1") && chown "$owner" "$part" 2>/dev/null
    fi
    chmod "$mode" "$part" || drctl_no "cannot be given the mode $mode"
    # An older sync takes no names, and then writes out everything.
    sync "$part" 2>/dev/null || sync
    mv -f "$part" "$1" || drctl_no "has arrived as $part, and cannot be given its own name"
    sync "$dir" 2>/dev/null || sync
    printf 'done %s\n' "$sum"
}

verb=$1
shift
"drctl_$verb" "$@"
