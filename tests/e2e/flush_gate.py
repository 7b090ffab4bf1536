"""A peer that leads a node with slow flushes gets no vote and no append reply before the flush, while heartbeats are
answered at their pace (test_peer.cc)."""
# hazards: A24, F18
import subprocess

import cluster

DELAY_MS = 50


def test(arguments):
    with cluster.Cluster(arguments.binary) as c:
        c.start()  # a cluster begins when all of its members are there
        node = c.nodes[1]
        for n in c.nodes:
            n.terminate()
        node.env = {'LD_PRELOAD': arguments.shim, 'RINGRAFT_SLOW_FLUSH_US': str(DELAY_MS * 1000)}
        node.start()
        node.wait_ready()
        members = [f'{n.id}={n.addr}' for n in c.nodes]
        ended = subprocess.run([arguments.peer, str(c.nodes[0].id), str(node.id), str(DELAY_MS), *members],
                               capture_output=True, text=True, timeout=60)
        print(ended.stdout + ended.stderr, end='')
        assert ended.returncode == 0, 'the test peer found a broken rule'


cluster.run(test, [('--shim', '', 'the shared object made of slow_flush.c'), ('--peer', '', 'the program test_peer')],
            limit=90)
