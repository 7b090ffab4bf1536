# The one list of what ringraft needs from Debian, and how the scripts install it. Sourced, not run.
#
# shellcheck disable=SC2034  # the lists are used by those who source this
#
# Only what is missing is installed, so a machine that has everything needs neither the network nor root.

# What a build needs, and the services.
RINGRAFT_BUILD_PACKAGES="g++ meson ninja-build pkg-config python3 capnproto libcapnp-dev liburing-dev liblmdb-dev \
libboost-dev libxxhash-dev libfmt-dev libhiredis-dev libcli11-dev"
# What the tests need besides: the framework, a stock Redis client and load generator, a look at system calls, network
# namespaces with cuts in them, file systems to be cut off.
RINGRAFT_TEST_PACKAGES="doctest-dev cmake redis-tools strace iproute2 nftables e2fsprogs"
# The second compiler, and its sanitizers.
RINGRAFT_CLANG_PACKAGES="clang-19 libclang-rt-19-dev"

# Prints those of the named packages that are not installed.
ringraft_missing_packages() {
  for package in "$@"; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || state=none
    [ "$state" = installed ] || printf '%s ' "$package"
  done
}

# Installs those of the named packages that are missing. Exits with what to do if that cannot be done.
ringraft_install_packages() {
  if ! command -v dpkg-query >/dev/null 2>&1; then
    echo "This is no Debian: install the counterparts of these packages by hand: $*" >&2
    return 0
  fi
  missing=$(ringraft_missing_packages "$@")
  [ -n "$missing" ] || return 0
  if [ "$(id -u)" = 0 ]; then
    as_root=
  elif command -v sudo >/dev/null 2>&1; then
    as_root=sudo
  else
    echo "These packages are missing; run this script as root, or install them: $missing" >&2
    exit 1
  fi
  echo "Installing: $missing"
  # apt's progress goes to a file that is shown only when it fails.
  apt_log=$(mktemp)
  # shellcheck disable=SC2086  # lists of words
  if ! { $as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q &&
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing; } \
    >"$apt_log" 2>&1 </dev/null; then
    tail -n 30 "$apt_log" >&2
    echo "apt-get could not install: $missing" >&2
    rm -f "$apt_log"
    exit 1
  fi
  rm -f "$apt_log"
}

# The compiler as meson is to be told it: through ccache where there is one.
ringraft_compiler() {
  if command -v ccache >/dev/null 2>&1; then
    echo "ccache $1"
  else
    echo "$1"
  fi
}
