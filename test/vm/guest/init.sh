#!/bin/busybox sh
# The guest of the VM tests: its first and only program. /dev/vda holds an ext4 file system, /dev/vdb raw records. For n = 1, 2, 3 ... it puts record n on
# one disk and file n on the other, each durable before the next step begins, and only then says "MARK n HASH" on the second serial port; the first one has
# the kernel's messages. A file gets its name by a rename, after its content was synced: whatever has a number for a name must be whole, at any moment.
# BOOT and FILES come from the kernel's command line; contents are slices of /pool, as test/vm/oracle.ts computes them too.

/bin/busybox --install -s /bin
mount -t devtmpfs devtmpfs /dev
exec </dev/null >/dev/ttyS1 2>&1

fail() {
  echo "FAIL $*"
  sleep 1
  poweroff -f
  sleep 60
}

for module in /modules/*; do insmod "$module" || fail "insmod $module"; done
tries=0
until [ -b /dev/vda ] && [ -b /dev/vdb ]; do
  tries=$((tries + 1))
  [ "$tries" -lt 600 ] || fail "the disks did not appear"
  sleep 0.1
done
mount -t ext4 /dev/vda /mnt || fail "mount"
cd /mnt || fail "cd"

n=1
while [ -f "$n" ]; do n=$((n + 1)); done
echo "FOUND $((n - 1))"

while [ "$n" -le "$FILES" ]; do
  dd if=/pool of=/dev/vdb bs=4096 iflag=skip_bytes skip=$((n * 613 % 900001)) seek="$n" count=1 conv=notrunc,fsync status=none || fail "record $n"
  part="part-$BOOT-$n"
  {
    echo "file $n"
    dd if=/pool bs=65536 iflag=skip_bytes,count_bytes skip=$((n * 104729 % 900001)) count=$((n * 7919 % 24576)) status=none
  } >"$part" || fail "write $n"
  sync "$part" || fail "fsync $n"
  mv "$part" "$n" || fail "rename $n"
  sync . || fail "fsync of the folder of $n"
  hash=$(sha256sum "$n") || fail "read $n"
  echo "MARK $n ${hash%% *}"
  n=$((n + 1))
done
fail "the disk is full"
