"""Disks whose power can be cut: ext4 in a file on a loop device, and the filesystem's own shutdown call.

A cut drops all that the filesystem has not written, its journal's open transaction included. Everything happens in a
mount namespace of this process, and the loop devices detach themselves with their last user: whatever way the test
ends, no mount and no device stays behind.
"""
import ctypes
import errno
import fcntl
import os
import shutil
import stat
import struct
import subprocess
import time

import cluster

CLONE_NEWNS = 0x00020000
MS_NOATIME, MS_REC, MS_PRIVATE, MNT_DETACH = 1024, 16384, 1 << 18, 2
LOOP_CTL_GET_FREE, LOOP_CONFIGURE, LO_FLAGS_AUTOCLEAR = 0x4C82, 0x4C0A, 4
LOOP_CONFIG_BYTES, LOOP_FLAGS_OFFSET = 304, 8 + 52
EXT4_IOC_SHUTDOWN, NO_LOG_FLUSH = 0x8004587D, 2
MIB = 1 << 20

libc = ctypes.CDLL(None, use_errno=True)


def call(name, *arguments):
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f'{name}: {os.strerror(number)}')


def enter_namespace():
    """Mounts of this process are its own from now on. To be called before threads are made; skips where it cannot."""
    if os.geteuid() != 0:
        raise cluster.Skip('cutting the power of a disk needs root')
    if shutil.which('mkfs.ext4') is None:
        raise cluster.Skip('mkfs.ext4 is missing')
    if not os.path.exists('/dev/loop-control'):
        raise cluster.Skip('there are no loop devices')
    try:
        call('unshare', CLONE_NEWNS)
        call('mount', b'none', b'/', None, ctypes.c_ulong(MS_REC | MS_PRIVATE), None)
    except OSError as error:
        raise cluster.Skip(f'mounting is not allowed ({error})') from error


class Disk:
    """Mounted at `path` while it has power. The file that stands for the disk is best in memory: `image`."""

    def __init__(self, image, path, size=96 * MIB):
        self.image, self.path = image, path
        with open(image, 'wb') as file:
            file.truncate(size)
        # No lazy initialization: a kernel thread that writes would disturb the test.
        made = subprocess.run(
            ['mkfs.ext4', '-q', '-F', '-b', '4096', '-J', 'size=4', '-E', 'lazy_itable_init=0,lazy_journal_init=0',
             image], capture_output=True, text=True)
        if made.returncode != 0:
            raise cluster.Skip(f'mkfs.ext4 failed: {made.stderr.strip()}')
        os.makedirs(path, exist_ok=True)
        self.loop = self.device = None
        self.is_mounted = False
        try:
            self.attach()
            self.mount()
        except OSError as error:
            self.close()
            raise cluster.Skip(f'no loop device or no ext4 ({error})') from error

    def attach(self):
        backing = os.open(self.image, os.O_RDWR | os.O_CLOEXEC)
        control = os.open('/dev/loop-control', os.O_RDWR | os.O_CLOEXEC)
        try:
            for _ in range(50):
                number = fcntl.ioctl(control, LOOP_CTL_GET_FREE)
                device = f'/dev/loop{number}'
                if not os.path.exists(device):
                    os.mknod(device, stat.S_IFBLK | 0o660, os.makedev(7, number))
                loop = os.open(device, os.O_RDWR | os.O_CLOEXEC)
                config = bytearray(LOOP_CONFIG_BYTES)
                struct.pack_into('=II', config, 0, backing, 0)
                struct.pack_into('=I', config, LOOP_FLAGS_OFFSET, LO_FLAGS_AUTOCLEAR)
                try:
                    fcntl.ioctl(loop, LOOP_CONFIGURE, bytes(config))
                except OSError as error:
                    os.close(loop)
                    if error.errno != errno.EBUSY:  # another process took it
                        raise
                    continue
                self.loop, self.device = loop, device
                return
            raise OSError(errno.EBUSY, 'no free loop device')
        finally:
            os.close(control)
            os.close(backing)

    def mount(self):
        call('mount', self.device.encode(), self.path.encode(), b'ext4', ctypes.c_ulong(MS_NOATIME), b'')
        self.is_mounted = True

    def cut(self):
        """From now on nothing that is not on the disk gets there, and every flush fails."""
        directory = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.ioctl(directory, EXT4_IOC_SHUTDOWN, struct.pack('=I', NO_LOG_FLUSH))
        except OSError as error:
            if error.errno in (errno.ENOTTY, errno.EPERM, errno.EOPNOTSUPP):
                raise cluster.Skip(f'the filesystem cannot be shut down ({error})') from error
            raise
        finally:
            os.close(directory)

    def unmount(self):
        """Waits until the kernel has let go of what a killed process had open."""
        end = time.monotonic() + 20
        while True:
            try:
                call('umount2', self.path.encode(), 0)
                break
            except OSError as error:
                if error.errno != errno.EBUSY or time.monotonic() > end:
                    raise
                time.sleep(0.002)
        self.is_mounted = False

    def restore(self):
        """The power comes back: mounting replays the journal."""
        if self.is_mounted:
            self.unmount()
        self.mount()

    def close(self):
        if self.is_mounted:
            try:
                call('umount2', self.path.encode(), MNT_DETACH)
            except OSError as error:
                print(f'cannot unmount {self.path}: {error}', flush=True)
            self.is_mounted = False
        if self.loop is not None:
            os.close(self.loop)
            self.loop = None
        if os.path.exists(self.image):
            os.unlink(self.image)
