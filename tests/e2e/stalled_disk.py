"""The leader's disk stalls: each flush takes 5 s from some moment on (slow_flush.c). The leader hands its leadership
over within two election timeouts, says why, and does not lead again before its disk has recovered, whatever asks it to.
Nothing acknowledged is lost or applied twice, and the pauses that clients see are told."""
# hazards: A24
import os
import time

import cluster
import departures
from history import ACKNOWLEDGED, REFUSED, UNKNOWN, Load

FLUSH_SECONDS = 5
ELECTION_TIMEOUT = 0.5  # the longest
LEADS, STALLED = ': leads term', 'stalled'


class Disk:
    """The flushes of one node, in a file that the shim reads."""

    def __init__(self, node, shim):
        self.path = os.path.join(node.cluster.directory, f'flush{node.id}')
        node.env = {'LD_PRELOAD': os.path.abspath(shim), 'RINGRAFT_SLOW_FLUSH_FILE': self.path}

    def stall(self):
        with open(self.path + '.new', 'w') as file:
            file.write(str(FLUSH_SECONDS * 1000000))
        os.replace(self.path + '.new', self.path)

    def recover(self):
        os.remove(self.path)


class Scene:
    """Three nodes, one of which, `slow`, has led and has a stalled disk."""

    def __init__(self, c, load, slow, disk):
        self.cluster, self.load, self.slow, self.disk = c, load, slow, disk
        self.others = [n for n in c.nodes if n is not slow]
        self.led = slow.log().count(LEADS)  # how often, up to the stall

    def check_leads_not(self, when):
        assert self.slow.log().count(LEADS) == self.led, f'node {self.slow.id} leads with its stalled disk, {when}'

    def other_leader(self, among, timeout=20.0):
        """One of these says that it leads, and the slow node has heard of it."""
        def leader():
            infos = {n: n.info() for n in [*among, self.slow]}
            leaders = [n for n in among if infos[n]['role'] == 'leader']
            is_known = leaders and infos[self.slow]['leader'] == str(leaders[0].id)
            return leaders[0] if is_known else None
        return cluster.wait_for(leader, f'another leader than node {self.slow.id}, whose disk is stalled', timeout)

    def tell_pause(self, what, begun):
        """Once writes are acknowledged that were sent after all this."""
        moment = time.monotonic()
        answered = cluster.wait_for(lambda: self.load.first_success_after(moment), f'a write after {what}', 60)
        begin, end = self.load.longest_pause(begun - 0.1, answered)
        print(f'{what}: {1000 * (end - begin):.0f} ms without an acknowledged write', flush=True)


def hands_over(scene):
    """The bound is the promise; a machine that stands still may be late by as much."""
    slow = scene.slow
    with departures.Watch(scene.others) as watch:
        begun = time.monotonic()
        scene.disk.stall()
        leader = scene.other_leader(scene.others)
        seconds = time.monotonic() - begun
    print(f'node {leader.id} leads {1000 * seconds:.0f} ms after the disk of node {slow.id} stalled', flush=True)
    assert seconds <= 2 * ELECTION_TIMEOUT + watch.latest, (
        f'the leadership was handed over after {seconds:.2f} s; this machine was at most {watch.latest:.2f} s late')
    reasons = [line for line in slow.log().splitlines() if STALLED in line]
    assert reasons, f'node {slow.id} does not say that its disk is stalled'
    print(reasons[-1])
    scene.tell_pause('the stall', begun)


def is_not_asked_back(scene):
    """RAFT TRANSFER to it fails, and the leader says so: a node that is asked meanwhile and does not lead is no
    answer."""
    def refusal():
        asked = scene.other_leader(scene.others)
        try:
            with asked.client(30.0) as client:
                client.command('RAFT', 'TRANSFER', scene.slow.id)
        except cluster.RedisError as error:
            return None if error.code in ('NOTLEADER', 'UNKNOWN') else str(error)
        raise AssertionError(f'RAFT TRANSFER {scene.slow.id} to the node with the stalled disk was answered with OK')
    told = cluster.wait_for(refusal, 'the leader to answer RAFT TRANSFER', 60)
    print(f'RAFT TRANSFER {scene.slow.id}: {told}')
    assert f'node {scene.slow.id} did not take the leadership over in time; this node remains leader' in told, told
    assert STALLED in told, f'the disk is not named: {told}'
    scene.check_leads_not('after RAFT TRANSFER')
    return scene.other_leader(scene.others)


def third_takes_over(scene, leader):
    """The new leader is stopped: of the two that are left, the one with the good disk leads."""
    third = next(n for n in scene.others if n is not leader)
    begun = time.monotonic()
    code = leader.terminate()
    assert code == 0, f'node {leader.id} ended with {code}'
    scene.other_leader([third])
    # A majority needs the stalled disk until this one is back.
    leader.start()
    leader.wait_ready()
    scene.tell_pause(f'the stop of node {leader.id}', begun)
    scene.check_leads_not(f'after node {leader.id} was stopped')


def test(arguments):
    with cluster.Cluster(arguments.binary) as c:
        disks = {node: Disk(node, arguments.shim) for node in c.nodes}
        c.start()
        with Load(c.nodes) as load:
            load.use(c.nodes)
            load.wait_for_writes(arguments.writes)
            slow = c.wait_leader()
            scene = Scene(c, load, slow, disks[slow])
            hands_over(scene)
            load.wait_for_writes(arguments.writes)
            leader = is_not_asked_back(scene)
            load.wait_for_writes(arguments.writes)
            third_takes_over(scene, leader)
            load.wait_for_writes(arguments.writes)
            scene.check_leads_not('without a request')
            disks[slow].recover()
            c.make_leader(slow)
            load.wait_for_writes(arguments.writes)
        counts = ', '.join(f'{load.count(o)} {o}' for o in (ACKNOWLEDGED, REFUSED, UNKNOWN))
        print(f'node {slow.id} leads again with its disk well; writes: {counts}, error replies: {dict(load.errors())}')
        for node in c.nodes:
            c.make_leader(node)
            load.check(node)
        print('0 acknowledged writes lost, 0 duplicated')


cluster.run(test, [('--shim', '', 'the shared object made of slow_flush.c'),
                   ('--writes', 200, 'acknowledged before each step')], limit=120)
