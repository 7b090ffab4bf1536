"""Every flush takes 50 ms longer (slow_flush.c): writes wait for flushes, heartbeats do not, and only the storage
thread flushes."""
# hazards: A24
import os
import re
import shutil
import statistics
import subprocess
import time

import cluster
from history import Load

DELAY_MS = 50
FLUSHES = 'fsync,fdatasync,msync,sync_file_range,pwrite64,pwritev,pwritev2'


def test(arguments):
    with cluster.Cluster(arguments.binary) as c:
        for node in c.nodes:
            node.env = {'LD_PRELOAD': arguments.shim, 'RINGRAFT_SLOW_FLUSH_US': str(DELAY_MS * 1000)}
        leader = c.start()
        check_latency(c)
        check_stability(c, leader, arguments.seconds)
    check_threads(arguments)


def check_latency(c):
    """No write is acknowledged before a majority has flushed it, through whichever node it comes."""
    for node in c.nodes:
        times = []
        with node.client(30.0) as client:
            for i in range(10):
                begun = time.monotonic()
                assert client.command('SET', f'k{i}', i) == b'OK'
                times.append(1000 * (time.monotonic() - begun))
        print(f'SET at node {node.id}: {min(times):.0f} ms at least, {statistics.median(times):.0f} ms in the middle')
        assert min(times) >= DELAY_MS, f'a write was acknowledged after {min(times):.1f} ms: not flushed'


def check_stability(c, leader, seconds):
    """Heartbeats and their replies do not wait for flushes: no node campaigns."""
    term = leader.info()['term']
    with Load(c.nodes, writers=12) as load:
        begun = time.monotonic()
        cluster.wait_for(lambda: load.first_success_after(begun + seconds), f'{seconds} s of writes', seconds + 20)
    assert c.wait_leader() is leader and leader.info()['term'] == term, 'the leader changed though nothing was wrong'
    for node in c.nodes:
        load.check(node)


def check_threads(arguments):
    """strace: flushes come from the thread ringraft-disk alone, once a cluster is up."""
    if shutil.which('strace') is None:
        raise cluster.Skip('strace is missing: the threads that flush were not looked at')
    if subprocess.run(['strace', '-o', os.devnull, 'true'], capture_output=True).returncode != 0:
        raise cluster.Skip('strace is not allowed here: the threads that flush were not looked at')
    with cluster.Cluster(arguments.binary) as c:
        c.start()
        traces = {}
        for node in c.nodes:
            path = os.path.join(c.directory, f'trace{node.id}')
            # Attached when the node is up: opening a database flushes too, on the thread that opens it.
            traces[node] = (path, subprocess.Popen(
                ['strace', '-f', '-y', '-o', path, '-e', f'trace={FLUSHES}', '-p', str(node.process.pid)],
                stderr=subprocess.PIPE, text=True))
        for path, strace in traces.values():
            line = strace.stderr.readline()  # it says so when it is attached
            assert 'attached' in line, f'strace: {line}'
        with c.nodes[0].client(30.0) as client:
            for i in range(50):
                assert client.command('SET', f'k{i}', 'x' * 1000) == b'OK'
        for node, (path, strace) in traces.items():
            disk = threads_named(node.process.pid, 'ringraft-disk')
            assert disk, f'node {node.id} has no thread ringraft-disk'
            strace.terminate()
            strace.wait(timeout=20)
            with open(path) as trace:
                calls = re.findall(r'^(\d+) +(\w+)\(', trace.read(), re.MULTILINE)
            others = {(int(thread), call) for thread, call in calls if int(thread) not in disk}
            flushes = [call for thread, call in calls if 'sync' in call]
            assert not others, f'node {node.id}: these threads write or flush files besides {disk}: {others}'
            assert flushes, f'node {node.id} has flushed nothing'
            writes = len(calls) - len(flushes)
            print(f'node {node.id}: {len(flushes)} flushes and {writes} file writes, all on ringraft-disk')


def threads_named(pid, name):
    found = set()
    for thread in os.listdir(f'/proc/{pid}/task'):
        with open(f'/proc/{pid}/task/{thread}/comm') as comm:
            if comm.read().strip() == name:
                found.add(int(thread))
    return found


cluster.run(test, [('--shim', '', 'the shared object made of slow_flush.c'), ('--seconds', 5, 'of load')], limit=150)
