"""The leader is killed with SIGKILL under load, again and again: nothing acknowledged is lost or applied twice."""
import statistics
import time

import cluster
from history import ACKNOWLEDGED, REFUSED, UNKNOWN, Load


def test(arguments):
    downtimes = []
    with cluster.Cluster(arguments.binary) as c:
        c.start()
        with Load(c.nodes) as load:
            for kill in range(arguments.kills):
                leader = c.wait_leader()
                load.wait_for_writes(arguments.writes)
                killed = time.monotonic()
                leader.kill()
                answered = cluster.wait_for(lambda: load.first_success_after(killed), 'a write after the kill')
                downtimes.append(1000 * (answered - killed))
                print(f'kill {kill + 1}: node {leader.id}, {downtimes[-1]:.0f} ms until the next write', flush=True)
                c.wait_leader()
                leader.start()
                leader.wait_ready()
                c.wait_caught_up(leader)
        counts = ', '.join(f'{load.count(o)} {o}' for o in (ACKNOWLEDGED, REFUSED, UNKNOWN))
        print(f'downtime over {len(downtimes)} kills: median {statistics.median(downtimes):.0f} ms, '
              f'worst {max(downtimes):.0f} ms; writes: {counts}', flush=True)
        c.wait_leader()
        for node in c.nodes:
            load.check(node)
        print('0 acknowledged writes lost, 0 duplicated')


cluster.run(test, [('--kills', 20, 'how often'), ('--writes', 500, 'acknowledged before each kill')], limit=540)
