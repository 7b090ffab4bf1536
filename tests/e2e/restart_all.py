"""All nodes are killed at once under load, and started again: what was acknowledged is there."""
import time

import cluster
from history import ACKNOWLEDGED, Load


def test(arguments):
    with cluster.Cluster(arguments.binary) as c:
        c.start()
        with Load(c.nodes) as load:
            for _ in range(arguments.rounds):
                load.wait_for_writes(arguments.writes)
                for node in c.nodes:
                    node.process.kill()
                for node in c.nodes:
                    node.kill()
                for node in c.nodes:
                    node.start()
                for node in c.nodes:
                    node.wait_ready()
                c.wait_leader()
                restarted = time.monotonic()
                cluster.wait_for(lambda: load.first_success_after(restarted), 'writes after the restart')
        print(f'{arguments.rounds} restarts of all nodes, {load.count(ACKNOWLEDGED)} acknowledged writes')
        for node in c.nodes:
            load.check(node)


cluster.run(test, [('--rounds', 5, 'how often'), ('--writes', 500, 'acknowledged before each kill')], limit=240)
