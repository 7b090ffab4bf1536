#!/bin/sh
# Builds ringraft with what Debian 13 has (g++ 14.2, Cap'n Proto 1.1) in a folder made by debootstrap, passes the fast
# tests there, and runs clusters of nodes of that build and of one of this machine. Needs root and the network, and
# 2 GB in DIR, which is kept for the next time.
#
#   sh tests/debian13.sh DIR RINGRAFT_KV [test ...]
#
# DIR          an empty or missing folder, or one of an earlier run
# RINGRAFT_KV  the ringraft-kv of this machine, for the clusters of both
# test         names of meson's tests; all that are fast without any
set -eu
if [ $# -lt 2 ]; then
  sed -n '2,/^set /s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
mkdir -p "$1"
dir=$(cd "$1" && pwd)
kv=$(cd "$(dirname "$2")" && pwd)/$(basename "$2")
shift 2
cd "$(dirname "$0")/.."
. tests/packages.sh

if [ ! -f "$dir/etc/debian_version" ]; then
  (ringraft_install_packages debootstrap)
  # shellcheck disable=SC2086  # lists of words
  packages=$(echo $RINGRAFT_BUILD_PACKAGES $RINGRAFT_TEST_PACKAGES | tr ' ' ',')
  debootstrap --variant=minbase --include="$packages" trixie "$dir" http://deb.debian.org/debian
fi

# The sources as they are here, committed or not.
mkdir -p "$dir/ringraft"
git ls-files -z --cached --others --exclude-standard | xargs -0 tar c | tar x -C "$dir/ringraft"
inside() {
  unshare --mount --pid --fork --mount-proc="$dir/proc" chroot "$dir" "$@"
}
inside sh /ringraft/tests/run.sh --no-e2e --label "Debian 13" --build-dir build-debian13 "$@"
inside ninja -C /ringraft/build-debian13 src/kv/ringraft-kv

# The other build runs here, with the C library and the others that it was built with.
cat >"$dir/ringraft-kv" <<WRAPPER
#!/bin/sh
exec $(ls "$dir"/lib*/ld-linux-*.so.*) --library-path $(ls -d "$dir"/usr/lib/*-linux-gnu) \\
  $dir/ringraft/build-debian13/src/kv/ringraft-kv "\$@"
WRAPPER
chmod +x "$dir/ringraft-kv"
python3 tests/e2e/mixed.py "$kv" --other "$dir/ringraft-kv"
