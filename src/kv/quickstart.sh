#!/bin/sh
# Shows ringraft-kv at work: installs what a fresh Debian lacks, builds, starts three nodes on this machine, writes and
# reads through redis-cli, kills the leader, shows that nothing is lost, brings the dead node back, and cleans up.
#
#   sh src/kv/quickstart.sh [BUILD-DIR]
#
# Everything is in build-release/ of this checkout, or in BUILD-DIR (as seen from the checkout), and in one temporary
# folder. Only processes started here are ended.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/packages.sh

build_dir=${1:-build-release}
writes=200
home=
# shellcheck disable=SC2034  # read by pid_of
pid1='' pid2='' pid3=''

step() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[ -t 1 ] || step() { printf '\n%s\n' "$*"; }
say() { printf '  %s\n' "$*"; }

fail() {
  printf '\nThe quick start failed: %s\n' "$*" >&2
  for log in "$home"/*.log; do
    [ -f "$log" ] || continue
    echo "--- the last lines of $(basename "$log" .log)" >&2
    tail -n 15 "$log" >&2
  done
  exit 1
}

pid_of() { eval "echo \$pid$1"; }
has_ended() { case $(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) in Z* | '') ;; *) return 1 ;; esac; }
# end_node SIGNAL NODE: and waits for it; 10 s at most if it may take its time.
end_node() {
  pid=$(pid_of "$2")
  [ -n "$pid" ] || return 0
  eval "pid$2="
  kill "-$1" "$pid" 2>/dev/null
  tries=0
  while [ "$1" != KILL ] && ! has_ended "$pid"; do
    tries=$((tries + 1))
    [ $tries -le 100 ] || kill -KILL "$pid" 2>/dev/null
    sleep 0.1
  done
  wait "$pid" 2>/dev/null
}
clean_up() {
  for node in 1 2 3; do end_node TERM $node; done
  [ -z "$home" ] || rm -rf "$home"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

client_port_of() { eval "echo \$client_port$1"; }
ask() {
  node=$1
  shift
  timeout 20 redis-cli -h 127.0.0.1 -p "$(client_port_of "$node")" "$@" 2>&1
}
# field NODE NAME: one line of INFO.
field() { ask "$1" INFO raft | tr -d '\r' | sed -n "s/^$2://p"; }
now_ms() { echo $(($(date +%s%N) / 1000000)); }

start_node() {
  build_kv=$build_dir/src/kv/ringraft-kv
  "$build_kv" --id "$1" --data "$home/node$1" --listen "127.0.0.1:$(client_port_of "$1")" \
    --peer "1=127.0.0.1:$peer_port1" --peer "2=127.0.0.1:$peer_port2" --peer "3=127.0.0.1:$peer_port3" \
    >>"$home/node$1.log" 2>&1 </dev/null &
  eval "pid$1=$!"
}

# Sets `leader` to who leads, asked of the named nodes. They must agree.
wait_for_leader() {
  tries=0
  while [ $tries -lt 300 ]; do
    leader=
    for node in "$@"; do
      named=$(field "$node" leader)
      if [ -z "$named" ] || [ "$named" = 0 ]; then
        leader=
        break
      fi
      [ -z "$leader" ] || [ "$leader" = "$named" ] || { leader=; break; }
      leader=$named
    done
    for node in "$@"; do
      if [ "$node" = "$leader" ] && [ "$(field "$node" role)" = leader ]; then return 0; fi
    done
    for node in "$@"; do
      kill -0 "$(pid_of "$node")" 2>/dev/null || fail "node $node has ended by itself"
    done
    tries=$((tries + 1))
    sleep 0.1
  done
  fail "the nodes $* agreed on no leader within 30 s"
}

# write_keys NODE FROM TO: counts what was acknowledged.
write_keys() {
  acknowledged=$(seq "$2" "$3" | sed 's/.*/SET key:& value-&/' | ask "$1" | grep -c '^OK')
  [ "$acknowledged" = $(($3 - $2 + 1)) ] || fail "node $1 acknowledged $acknowledged of $(($3 - $2 + 1)) writes"
}
# check_keys NODE FROM TO: reads all of them.
check_keys() {
  seq "$2" "$3" | sed 's/.*/GET key:&/' | ask "$1" >"$home/read"
  seq "$2" "$3" | sed 's/^/value-/' >"$home/expected"
  cmp -s "$home/read" "$home/expected" || {
    diff "$home/expected" "$home/read" | head -n 5 >&2
    fail "node $1 does not have every write"
  }
}

step "1. What is needed"
# shellcheck disable=SC2086  # lists of words
ringraft_install_packages $RINGRAFT_BUILD_PACKAGES redis-tools || exit 1
say "The compiler, the libraries and redis-cli are there."

step "2. Building ringraft-kv in $build_dir/"
home=$(mktemp -d) || fail "no temporary folder"
if [ ! -f "$build_dir/build.ninja" ]; then
  CXX=$(ringraft_compiler "${CXX:-g++}") meson setup "$build_dir" --buildtype=release -Dtests=false </dev/null \
    >"$home/meson.log" 2>&1 ||
    fail "meson setup did not succeed"
fi
ninja -C "$build_dir" src/kv/ringraft-kv </dev/null >"$home/build.log" 2>&1 || fail "the build did not succeed"
say "$("$build_dir/src/kv/ringraft-kv" --version)"

step "3. Starting three nodes, each a process with a directory of its own"
# Six ports that are free now, below those that the kernel hands out by itself.
ports=$(python3 - <<'PYTHON'
import random, socket
taken = []
while len(taken) < 6:
    candidate = socket.socket()
    try:
        candidate.bind(("127.0.0.1", random.randrange(20000, 32000)))
        taken.append(candidate)
    except OSError:
        candidate.close()
print(*(candidate.getsockname()[1] for candidate in taken))
PYTHON
) || fail "no free ports"
# shellcheck disable=SC2086  # a list of words
set -- $ports
# shellcheck disable=SC2034  # read by client_port_of
client_port1=$1 client_port2=$2 client_port3=$3 peer_port1=$4 peer_port2=$5 peer_port3=$6
for node in 1 2 3; do
  start_node $node
  say "node $node: process $(pid_of $node), redis-cli -p $(client_port_of $node)"
done
wait_for_leader 1 2 3
say "They elected node $leader, in term $(field "$leader" term)."

step "4. Writing and reading with redis-cli"
follower=$((leader % 3 + 1))
say "redis-cli -p $(client_port_of $follower) SET greeting 'hello from a follower'   (node $follower forwards it)"
say "  $(ask $follower SET greeting 'hello from a follower')"
say "redis-cli -p $(client_port_of "$leader") GET greeting"
say "  $(ask "$leader" GET greeting)"
[ "$(ask "$leader" GET greeting)" = "hello from a follower" ] || fail "the value did not come back"
write_keys $follower 1 $writes
say "$writes more writes, each acknowledged after it was on the disks of a majority."

step "5. Killing the leader, node $leader, with SIGKILL"
dead=$leader
one=$((dead % 3 + 1))
two=$((one % 3 + 1))
before=$(now_ms)
end_node KILL "$dead"
tries=0
while :; do
  answer=$(ask $one SET after-the-kill yes)
  tries=$((tries + 1))
  case $answer in UNKNOWN*) [ $tries -lt 10 ] || break ;; *) break ;; esac
  # It was already on its way to the dead leader. Repeating a SET does no harm.
  say "A write was under way to node $dead when it died: its outcome is unknown. It is sent again."
done
[ "$answer" = OK ] || fail "the first write after the kill got: $answer"
say "The next write was acknowledged $(($(now_ms) - before)) ms later."
wait_for_leader $one $two
say "Node $leader leads now, in term $(field "$leader" term)."
check_keys $one 1 $writes
check_keys $two 1 $writes
say "All $writes writes are there, read through node $one and through node $two."
write_keys $two $((writes + 1)) $((2 * writes))
say "$writes more writes went in with two nodes of three."

step "6. Bringing node $dead back"
start_node "$dead"
tries=0
while :; do
  target=$(field "$leader" commit_index)
  applied=$(field "$dead" applied_index)
  [ -n "$applied" ] && [ -n "$target" ] && [ "$applied" -ge "$target" ] && break
  kill -0 "$(pid_of "$dead")" 2>/dev/null || fail "node $dead has ended by itself"
  tries=$((tries + 1))
  [ $tries -lt 300 ] ||
    fail "node $dead did not catch up within 30 s: it is at ${applied:-nothing} of ${target:-nothing}"
  sleep 0.1
done
say "Node $dead is a $(field "$dead" role) and has applied $applied entries; the leader has committed $target."
check_keys "$dead" 1 $((2 * writes))
say "All $((2 * writes)) writes are there, read through node $dead."

step "7. Cleaning up"
for node in 1 2 3; do end_node TERM $node; done
rm -rf "$home"
home=
say "The nodes have stopped, their directories are gone. The program stays: $build_dir/src/kv/ringraft-kv --help"
