"""The power of one node, of a majority, or of all is cut under load, again and again: nothing acknowledged is lost,
applied twice or reordered, and every node starts again with what its disk kept.

Each node has a disk of its own (disks.py). 100 cuts are the default; a long campaign is

    python3 tests/e2e/power_cut.py BUILD/src/kv/ringraft-kv --cuts 2000 --limit 4000

With --control, the shim no_sync.c makes LMDB flush nothing, and the test passes only if the loss is found within 5 cuts
of all nodes. It needs root, loop devices and ext4, and is skipped where they are missing.
"""
# hazards: F1
import os
import random
import shutil
import signal
import socket
import sys
import tempfile
import time

import cluster
import disks
from history import ACKNOWLEDGED, REFUSED, UNKNOWN, Load

CONTROL_CUTS = 5
TIMES = ('--election-timeout', '100-200', '--heartbeat', '25')  # less to wait for


class Finding(AssertionError):
    """What a power cut must never lead to."""


def ending_with_us(arguments):
    """A node that outlived a killed test would keep its disk mounted."""
    if shutil.which('setpriv') is None:
        return arguments
    return lambda: ['setpriv', '--pdeathsig', 'KILL', *arguments()]


class FreshLoad(Load):
    """Clients whose keys and lists no earlier ones have used."""

    def __init__(self, nodes, first, writers=4):
        super().__init__(nodes, writers=writers)
        for writer in self.writers:
            writer.number += first


class Machines:
    """A cluster, each node on a disk of its own."""

    def __init__(self, binary, env):
        self.cluster = cluster.Cluster(binary, extra=TIMES)
        in_memory = '/dev/shm' if os.access('/dev/shm', os.W_OK) else None
        self.directory = tempfile.mkdtemp(prefix='ringraft-disks-', dir=in_memory)
        self.disks = {}
        for node in self.cluster.nodes:
            node.env = env
            node.arguments = ending_with_us(node.arguments)

    def __enter__(self):
        try:
            for node in self.cluster.nodes:
                path = os.path.join(self.cluster.directory, f'disk{node.id}')
                self.disks[node] = disks.Disk(os.path.join(self.directory, f'disk{node.id}'), path)
                node.data = os.path.join(path, 'data')
        except BaseException:
            self.close_disks()
            raise
        return self

    def __exit__(self, error_type, *rest):
        for node in self.cluster.running():
            node.kill()
        self.close_disks()
        self.cluster.__exit__(error_type, *rest)

    def close_disks(self):
        for disk in self.disks.values():
            disk.close()
        os.rmdir(self.directory)

    def cut(self, nodes):
        """All disks first: they lose power within microseconds. Then the processes go, as machines without power do."""
        for node in nodes:
            self.disks[node].cut()
        for node in nodes:
            node.process.kill()
        for node in nodes:
            node.kill()

    def restart(self, nodes):
        for node in nodes:
            self.disks[node].restore()
            wait_for_ports(node)
            node.start()
        for node in nodes:
            wait_ready(node)


def wait_for_ports(node):
    """The kernel keeps the sockets of a killed process until its last io_uring request is gone."""
    def is_free():
        for port in (node.port, node.peer_port):
            with socket.socket() as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                s.bind(('127.0.0.1', port))
                s.listen()
        return True
    cluster.wait_for(is_free, f'the ports of node {node.id}')


def wait_ready(node):
    """A node that dies of its own disk, or refuses it, after a power cut is a finding like a lost write."""
    try:
        node.wait_ready()
    except AssertionError as error:
        code = node.process.poll()
        if code is None or (code > 0 and node.data not in node.log().rstrip().rsplit('\n', 1)[-1]):
            raise
        raise Finding(str(error)) from error


def check(machines, load):
    """Every node, with the clients stopped: all have applied what was acknowledged."""
    machines.cluster.wait_leader()
    for node in machines.cluster.nodes:
        try:
            load.check(node)
        except AssertionError as error:
            raise Finding(f'node {node.id}: {error}') from error


def victims(choice, nodes, leader):
    """One node or a majority: half of the time with the leader."""
    others = [n for n in nodes if n is not leader]
    choice.shuffle(others)
    kind = choice.choice(['one', 'majority', 'all'])
    count = {'one': 1, 'majority': len(nodes) // 2 + 1, 'all': len(nodes)}[kind]
    first = [leader] if choice.random() < 0.5 else []
    return kind, (first + others + [leader])[:count]


def cut_first_starts(machines, choice, count):
    """F15 of the catalogue: nothing is acknowledged yet, and every node must come up as if nothing had been."""
    nodes = machines.cluster.nodes
    for number in range(count):
        for node in nodes:
            if os.path.exists(node.data):
                shutil.rmtree(node.data)
            node.data = os.path.join(machines.disks[node].path, f'data{number}')
        for node in nodes:
            node.start()
        time.sleep(choice.random() * 0.06)
        machines.cut(nodes)
        machines.restart(nodes)
        machines.cluster.wait_leader()
        for node in nodes:
            node.kill()
    print(f'{count} first starts of all nodes were cut', flush=True)


def campaign(machines, arguments):
    """Cuts between checks, each under load, of one or more of the nodes."""
    choice = random.Random(arguments.seed)
    nodes = machines.cluster.nodes
    cut_first_starts(machines, choice, max(1, arguments.cuts // 20))
    for node in nodes:
        wait_for_ports(node)
    leader = machines.cluster.start()
    done = {'one': 0, 'majority': 0, 'all': 0}
    totals = dict.fromkeys((ACKNOWLEDGED, REFUSED, UNKNOWN), 0)
    begun = time.monotonic()
    number = 0
    while number < arguments.cuts:
        with FreshLoad(nodes, first=100 * number) as load:
            for _ in range(min(arguments.between_checks, arguments.cuts - number)):
                number += 1
                load.wait_for_writes(arguments.writes + choice.randrange(arguments.writes + 1))
                kind, cut = victims(choice, nodes, leader)
                machines.cut(cut)
                machines.restart(cut)
                leader = machines.cluster.wait_leader()
                done[kind] += 1
        check(machines, load)
        for outcome in totals:
            totals[outcome] += load.count(outcome)
    seconds = time.monotonic() - begun
    print(f'{number} cuts ({done}) in {seconds:.0f} s, {number / seconds:.1f} a second; writes: {totals}; '
          '0 acknowledged writes lost, 0 duplicated', flush=True)


def control(machines, arguments):
    """The same cuts and the same check, of a cluster that flushes nothing: it must not pass."""
    nodes = machines.cluster.nodes
    machines.cluster.start()
    for number in range(1, CONTROL_CUTS + 1):
        with FreshLoad(nodes, first=100 * number) as load:
            load.wait_for_writes(arguments.writes)
            machines.cut(nodes)
        try:
            machines.restart(nodes)
            check(machines, load)
        except Finding as finding:
            print(f'found after {number} cuts of all nodes: {finding}')
            return
    raise AssertionError(f'{CONTROL_CUTS} cuts of all nodes, and no test noticed that LMDB flushes nothing')


def test(arguments):
    disks.enter_namespace()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if arguments.control:
        with Machines(arguments.binary, {'LD_PRELOAD': os.path.abspath(arguments.control)}) as machines:
            control(machines, arguments)
    else:
        with Machines(arguments.binary, {}) as machines:
            campaign(machines, arguments)


cluster.run(test, [('--cuts', 100, 'how often'), ('--seed', 1, 'of who loses power, and when'),
                   ('--writes', 30, 'acknowledged before each cut, at least'),
                   ('--between-checks', 10, 'cuts'),
                   ('--control', '', 'the shared object made of no_sync.c: the loss must be found')], limit=400)
