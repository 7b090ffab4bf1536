"""The leader is stopped with SIGTERM under load, again and again: it hands its leadership over first, nothing
acknowledged is lost or applied twice, and the pause is told."""
import statistics
import time

import cluster
from history import ACKNOWLEDGED, REFUSED, UNKNOWN, Load

HANDS_OVER = 'hands the leadership over'


def test(arguments):
    pauses = []
    with cluster.Cluster(arguments.binary) as c:
        c.start()
        with Load(c.nodes) as load:
            for stop in range(arguments.stops):
                load.wait_for_writes(arguments.writes)
                leader = c.wait_leader()
                term = int(leader.info()['term'])
                handed_over = leader.log().count(HANDS_OVER)
                asked = time.monotonic()
                leader.terminate()
                stopped = time.monotonic()
                successor = c.wait_leader([n for n in c.nodes if n is not leader])
                assert int(successor.info()['term']) == term + 1, 'somebody stood without having been asked'
                assert leader.log().count(HANDS_OVER) == handed_over + 1, 'nothing was handed over'
                load.wait_for_writes(100)
                pauses.append(1000 * longest_gap(load, asked - 0.1, stopped + 0.1))
                print(f'stop {stop + 1}: node {leader.id} to node {successor.id}, {pauses[-1]:.1f} ms without an '
                      f'acknowledged write, {1000 * (stopped - asked):.0f} ms until it had stopped', flush=True)
                leader.start()
                leader.wait_ready()
                c.wait_caught_up(leader)
        counts = ', '.join(f'{load.count(o)} {o}' for o in (ACKNOWLEDGED, REFUSED, UNKNOWN))
        print(f'pause over {len(pauses)} planned stops: median {statistics.median(pauses):.1f} ms, '
              f'worst {max(pauses):.1f} ms; writes: {counts}', flush=True)
        c.wait_leader()
        for node in c.nodes:
            load.check(node)
        print('0 acknowledged writes lost, 0 duplicated')


def longest_gap(load, begin, end):
    """Between two acknowledgements, whoever got them."""
    times = sorted(a for w in load.writers for _, a in w.acknowledged[-5000:] if begin <= a <= end)
    return max((b - a for a, b in zip(times, times[1:])), default=end - begin)


cluster.run(test, [('--stops', 10, 'how often'), ('--writes', 200, 'acknowledged before each stop')], limit=300)
