#!/bin/sh
# The first half of a host's PID 1: builds the host's own view of the files, then becomes its init.
# Runs in new mount, UTS, IPC and PID namespaces.  usage: boot.sh HOST DIRECTORY
# Where root is not root of the machine, the overlay of /etc keeps its notes elsewhere,
# and what it lies on, like sudo, is a copy of the lab's own.
set -eu
host=$1
dir=$2
root=$dir/root
sudo=${dir%/hosts/*}/sudo
etc=/etc
overlay=
if [ -d "$sudo" ]; then
    etc=${dir%/hosts/*}/etc
    overlay=,userxattr
fi
hostname "$host"
mount --make-rprivate /
mkdir -p "$root"
mount -t tmpfs -o mode=755,size=16m none "$root"
cd "$root"
mkdir usr proc sys dev run tmp etc var opt root home srv mnt .machine

# Programs are the machine's own, read-only.
mount --bind /usr usr
mount -o remount,bind,ro usr
if [ -d "$sudo" ]; then
    mount --bind "$sudo/sudo" usr/bin/sudo
    mount --bind "$sudo/libexec" usr/libexec/sudo
fi
for link in bin sbin lib lib32 lib64 libx32; do
    if [ -L "/$link" ]; then
        ln -s "$(readlink "/$link")" "$link"
    elif [ -d "/$link" ]; then
        mkdir "$link"
        mount --bind "/$link" "$link"
        mount -o remount,bind,ro "$link"
    fi
done

# /etc is the machine's with the host's own on top. The rest is the host's alone: /var cannot be an overlay,
# since the lab's own directory usually lies in it and the kernel refuses an upper layer inside the lower one.
mount -t overlay "$host-etc" -o "lowerdir=$etc,upperdir=$dir/disk/etc,workdir=$dir/work$overlay" etc
for own in var opt root home srv; do
    mount --bind "$dir/disk/$own" "$own"
done
mount -t tmpfs -o mode=755,size=64m tmpfs run
mount -t tmpfs -o mode=1777,size=256m tmpfs tmp

# The kernel's settings are the whole machine's: a host may read them and no more.
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
# These two are not namespaced; a host has its own boot id, and the memory that its size says.
mount --bind "$dir/boot_id" proc/sys/kernel/random/boot_id
mount --bind "$dir/meminfo" proc/meminfo
mount -t sysfs -o ro sysfs sys

mount -t tmpfs -o mode=755,size=1m tmpfs dev
for device in null zero full random urandom tty; do
    : >"dev/$device"
    mount --bind "/dev/$device" "dev/$device"
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
mount -t tmpfs -o mode=1777,size=1g tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s fd/0 dev/stdin
ln -s fd/1 dev/stdout
ln -s fd/2 dev/stderr
if [ -e proc/sysrq-trigger ]; then
    mount --bind dev/null proc/sysrq-trigger
fi

pivot_root . .machine
cd /
umount -l /.machine
rmdir /.machine
# Root on a host is not root of the machine: no modules, no raw devices, no setting of the clock.
exec setpriv --bounding-set=-sys_module,-sys_rawio,-sys_time,-mknod \
    env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
    /bin/sh /opt/lab/bin/init
