#!/bin/sh
# Builds ringraft and passes its tests: installs what a fresh Debian lacks, sets up a build directory in the checkout,
# builds, runs, and ends with a line "N passed, N failed". Exits with 0 only if everything was built and nothing failed.
#
#   sh tests/run.sh [options] [test ...]        without names: every test
#
#   --compiler CXX     g++ (the default) or clang++-19         or CXX in the environment
#   --buildtype TYPE   release (the default), debugoptimized, debug
#   --sanitize LIST    address,undefined or thread; none by default
#   --short            shorter end-to-end tests: sets RINGRAFT_TEST_SHORT=1
#   --no-e2e           none of them, nor the campaigns and the crash images
#   --build-dir DIR    build-tests, or a name made of the choices above, by default
#   --option -Dx=y     one more option for meson setup; may be repeated
#   --label TEXT       what the summary calls this run
#   --totals FILE      appends "passed failed skipped" to FILE
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/packages.sh

compiler=${CXX:-g++}
buildtype=release
sanitize=none
short=0
selection=
build_dir=
label=
totals=/dev/null
setup_options=
while [ $# -gt 0 ]; do
  case $1 in
    --compiler) compiler=$2; shift 2 ;;
    --buildtype) buildtype=$2; shift 2 ;;
    --sanitize) sanitize=$2; shift 2 ;;
    --short) short=1; shift ;;
    --no-e2e) selection="--no-suite e2e --no-suite campaign --no-suite crash"; shift ;;
    --build-dir) build_dir=$2; shift 2 ;;
    --option) setup_options="$setup_options $2"; shift 2 ;;
    --label) label=$2; shift 2 ;;
    --totals) totals=$2; shift 2 ;;
    -h | --help) sed -n '2,/^set /s/^# \{0,1\}//p' tests/run.sh; exit 0 ;;
    -*) echo "tests/run.sh: unknown option $1; --help lists them" >&2; exit 2 ;;
    *) break ;;
  esac
done
compiler=${compiler#ccache }
if [ -z "$build_dir" ]; then
  build_dir=build-tests
  [ "$compiler" = g++ ] || build_dir=$build_dir-$compiler
  [ "$buildtype" = release ] || build_dir=$build_dir-$buildtype
  [ "$sanitize" = none ] || build_dir=$build_dir-$(echo "$sanitize" | tr ',' '-')
fi
[ -n "$label" ] || label="$compiler $buildtype, sanitizers: $sanitize"

# A failure before the first test counts as one.
give_up() {
  echo "$label: $1" >&2
  echo "0 1 0" >>"$totals"
  echo "0 passed, 1 failed"
  exit 1
}

packages="$RINGRAFT_BUILD_PACKAGES $RINGRAFT_TEST_PACKAGES"
case $compiler in clang++-19*) packages="$packages $RINGRAFT_CLANG_PACKAGES" ;; esac
# shellcheck disable=SC2086  # a list of words
(ringraft_install_packages $packages) || give_up "packages are missing"

# The other compiler's builds show that every source includes what it uses.
pch=-Db_pch=true
case $compiler in clang*) pch=-Db_pch=false ;; esac

echo "== $label: building in $build_dir"
if [ ! -f "$build_dir/build.ninja" ]; then
  # shellcheck disable=SC2086  # lists of words
  CXX=$(ringraft_compiler "$compiler") meson setup "$build_dir" --buildtype="$buildtype" -Db_sanitize="$sanitize" \
    -Db_lundef=false $pch $setup_options </dev/null || give_up "meson setup failed"
fi

# A sanitizer must find its shadow memory free: no random layout, where that may be switched off.
fixed_layout=
if [ "$sanitize" != none ] && setarch "$(uname -m)" -R true 2>/dev/null; then
  fixed_layout="setarch $(uname -m) -R"
fi
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_stack_use_after_return=1:strict_string_checks=1}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-halt_on_error=1:print_stacktrace=1}"
export TSAN_OPTIONS="${TSAN_OPTIONS:-halt_on_error=1:second_deadlock_stack=1:suppressions=$PWD/tests/tsan.supp}"
[ "$short" = 0 ] || export RINGRAFT_TEST_SHORT=1

# Named tests: only what they need is built, by meson test itself.
if [ $# -eq 0 ]; then
  ninja -C "$build_dir" </dev/null >"$build_dir/build.log" 2>&1 || {
    grep -B 2 -A 30 'FAILED:' "$build_dir/build.log" | head -n 200
    give_up "the build failed; all of it: $build_dir/build.log"
  }
fi
rm -f "$build_dir/meson-logs/testlog.json"
# shellcheck disable=SC2086  # lists of words
$fixed_layout meson test -C "$build_dir" --print-errorlogs $selection "$@" </dev/null
tests_status=$?
[ -f "$build_dir/meson-logs/testlog.json" ] || give_up "the build failed, no test ran"

/usr/bin/env python3 tests/summarize.py --label "$label" --totals "$totals" --status "$tests_status" \
  "$build_dir/meson-logs/testlog.json"
