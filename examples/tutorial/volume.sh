# Mounts a volume whose system block (64 bytes) is smaller than the header of a folder (440 bytes).
modprobe loop; modprobe omfs; mkdir -p /tmp/volume
dd if=/dev/zero of=/tmp/omfs bs=1024 count=64 2>/dev/null
# struct omfs_super_block (fs/omfs/omfs_fs.h), big endian, from byte 256: root block, blocks, magic, block size, mirrors, system block.
printf '\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\100\302\231\075\207\0\0\0\100\0\0\0\1\0\0\0\100' |
  dd of=/tmp/omfs bs=1 seek=256 conv=notrunc 2>/dev/null
mount -t omfs -o loop /tmp/omfs /tmp/volume 2>/dev/null
dmesg | grep omfs: | tail -n 1
