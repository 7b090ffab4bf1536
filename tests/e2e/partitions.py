"""Real nodes, each in a network namespace of its own, under everything that a network and a machine can do to them:
what the clients saw is linearizable, and when all is healed, everything goes on.

First the topologies that are known to have stopped or shaken clusters (topologies.py), one after the other; then faults
drawn from a seed (storm.py): SIGKILL and restart, SIGSTOP and SIGCONT, full and one-way partitions, bridges, chains and
stars, lossy and slow links, clients that cannot reach their node. The clients' history (recorder.py) is checked by
`ringraft-sim check`, the checker that the simulator uses. About three minutes by default; a soak of an hour is

    python3 tests/e2e/partitions.py BUILD/src/kv/ringraft-kv --sim BUILD/src/sim/ringraft-sim \\
        --seconds 3600 --seed 7 --limit 4500

With --self-test, a short recorded history passes the checker; forged ones (forgeries.py) do not, nor does that of a
cluster that lost its disks. That needs no namespaces. The rest needs root, ip, tc, nft, nsenter and setpriv, and is
skipped where they are missing.
"""
# hazards: A12, A13
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import cluster
import forgeries
import topologies
from machines import DEADLINE, PATIENCE, TIMES, Machines
from recorder import Load
from storm import Storm

SECONDS = 20 if os.environ.get('RINGRAFT_TEST_SHORT') else 120


class Whole(int):
    """An option that is not cut down with RINGRAFT_TEST_SHORT."""


def checked(sim, path, *options):
    """(is linearizable, what the checker says)."""
    done = subprocess.run([sim, 'check', path, '--model', 'kv', *options], capture_output=True, text=True, timeout=600)
    assert done.returncode in (0, 1), f'the checker ended with {done.returncode}: {done.stdout}{done.stderr}'
    return done.returncode == 0, done.stdout.strip()


def verdict(arguments, machines, faults):
    """Prints what happened, and raises if it must not have."""
    history = machines.load.history
    path = os.path.join(machines.cluster.directory, 'history')
    history.write(path)
    gap, since = history.longest_silence()
    begun = time.monotonic()
    is_fine, text = checked(arguments.sim, path, '--html', path + '.html')
    print(f'operations: {len(history.lines)} recorded, {history.unknown()} of them unknown; refused: '
          f'{dict(history.refused)}\nfaults: {faults}\nlongest time without any success: {gap:.1f} s, '
          f'{since:.1f} s after the beginning\nverdict after {time.monotonic() - begun:.1f} s: {text}', flush=True)
    assert is_fine, f'seed {arguments.seed}: what the clients saw is not linearizable'


def campaign(arguments):
    machines = Machines(arguments)
    with machines.cluster:
        try:
            run_campaign(arguments, machines)
        except Exception:
            machines.keep(arguments.keep or tempfile.mkdtemp(prefix=f'ringraft-partitions-{arguments.seed}-'))
            raise
        if arguments.keep:
            machines.keep(arguments.keep)


def run_campaign(arguments, machines):
    machines.network.check()
    for node in machines.nodes:
        node.start()
    for node in machines.nodes:
        node.wait_ready(PATIENCE)
    machines.cluster.wait_leader(timeout=PATIENCE)
    choice = random.Random(f'{arguments.seed}/topologies')
    storm = Storm(machines, random.Random(f'{arguments.seed}/storm'))
    with machines.load as load:
        if len(machines.nodes) == 5:
            topologies.run_all(machines, choice, arguments.hold)
        storm.run(arguments.seconds)
        machines.require_progress()
    load.check()
    load.read_everything(choice.choice(machines.nodes))
    verdict(arguments, machines, storm.summary())


def self_test(arguments):
    """A history of three nodes on loopback, one of them killed meanwhile; then forged, then with all disks lost."""
    with cluster.Cluster(arguments.binary, size=3, extra=TIMES) as c:
        leader = c.start()
        with Load(c.nodes, arguments.clients, DEADLINE, 0.002, arguments.seed) as load:
            wait_for_successes(load, 500)
            leader.kill()
            leader.start()
            leader.wait_ready(PATIENCE)
            wait_for_successes(load, 500)
            load.rest()
        c.wait_leader(timeout=PATIENCE)
        load.read_everything(c.nodes[0])
        path = os.path.join(c.directory, 'history')
        recorded = list(load.history.lines)
        load.history.write(path)
        is_fine, text = checked(arguments.sim, path)
        print(f'as recorded: {text}', flush=True)
        assert is_fine, 'the history as it was recorded is not linearizable'
        for forgery in forgeries.ALL:
            load.history.lines = forgery(recorded)
            require_refusal(arguments, load.history, path, forgery.__name__.replace('_', ' '))
        load.history.lines = recorded
        lose_all_disks(c)
        load.read_everything(c.nodes[0])
        require_refusal(arguments, load.history, path, 'all disks lost')


def wait_for_successes(load, count):
    """Of operations that begin from now on."""
    moment, goal = time.monotonic_ns(), len(load.history.successes) + count
    cluster.wait_for(lambda: load.history.first_success_after(moment), 'an operation', PATIENCE)
    cluster.wait_for(lambda: len(load.history.successes) >= goal, f'{count} operations', PATIENCE)


def lose_all_disks(nodes):
    for node in nodes.nodes:
        node.kill()
        shutil.rmtree(node.data)
    for node in nodes.nodes:
        node.start()
        node.wait_ready(PATIENCE)
    nodes.wait_leader(timeout=PATIENCE)


def require_refusal(arguments, history, path, what):
    history.write(path)
    is_fine, text = checked(arguments.sim, path)
    assert not is_fine, f'the checker accepts a history with {what}'
    found = [line for line in text.splitlines() if 'no order of these' in line]
    assert found, f'{what} was not found but given up: {text}'
    print(f'{what}: found ({found[0].split(": ", 1)[1].split(" on ")[0]})', flush=True)


def test(arguments):
    if not arguments.sim:
        raise AssertionError('--sim is missing: the path of ringraft-sim')
    arguments.sim = os.path.abspath(arguments.sim)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if arguments.self_test:
        self_test(arguments)
    else:
        campaign(arguments)


cluster.run(test, [('--sim', '', 'the ringraft-sim whose checker is used'),
                   ('--seconds', Whole(SECONDS), 'of drawn faults, after the topologies'),
                   ('--seed', Whole(1), 'of the faults and of what the clients ask'),
                   ('--nodes', Whole(5), 'in the cluster; the topologies need 5'),
                   ('--clients', Whole(12), 'at once'),
                   ('--pause', Whole(8), 'ms on average between an answer and the next operation of a client'),
                   ('--hold', 20, 'seconds for which the bridge must keep its leader'),
                   ('--keep', '', 'a folder for history, drawing and logs; they are kept anyway if it fails'),
                   ('--self-test', False, 'check a recorded history and forged ones instead')], limit=540)
