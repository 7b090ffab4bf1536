#!/bin/sh
# The long campaign: builds the fuzzers with clang, libFuzzer, ASan and UBSan, and runs each for SECONDS. Failing inputs
# are left in WORKDIR; new inputs are not added to the corpora automatically.
#
#   sh tests/fuzz/run.sh WORKDIR [SECONDS [NAME ...]]
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
[ $# -ge 1 ] || { sed -n '5s/^#  *//p' "$0"; exit 2; }
work=$1
seconds=${2:-600}
[ $# -lt 2 ] || shift
shift
names=${*:-batch resp peer node scenario}
mkdir -p "$work"
work=$(cd "$work" && pwd)
if [ ! -f "$work/build/build.ninja" ]; then
  CXX=${CXX:-clang++-19} meson setup "$work/build" "$root" --buildtype=debug -Doptimization=1 -Db_lundef=false \
    -Db_sanitize=address,undefined -Db_pch=false -Dfuzz=true -Dbench=false -Dexamples=false \
    -Dcpp_args=-fsanitize=fuzzer-no-link
fi
failed=
for name in $names; do
  ninja -C "$work/build" "tests/fuzz/fuzz_$name"
  corpus=$root/tests/fuzz/corpus/$name
  [ "$name" != scenario ] || corpus=$root/tests/scenarios
  mkdir -p "$work/$name"
  echo "== $name for $seconds s"
  (cd "$work/$name" && "$work/build/tests/fuzz/fuzz_$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 \
    -print_final_stats=1 . "$corpus" 2>&1 | tail -n 12) || failed="$failed $name"
  if ls "$work/$name" | grep -q '^\(crash\|oom\|timeout\)-'; then failed="$failed $name"; fi
done
[ -z "$failed" ] || { echo "found something:$failed; see $work"; exit 1; }
echo "nothing found"
