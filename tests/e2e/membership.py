"""Members come and go under load: 1 -> 3 -> 5 -> 7 -> 3 nodes, the leader among those that are removed. Nothing
acknowledged is lost or applied twice, no client sees an error that is not documented and retryable, and each phase
tells the longest time without an acknowledged write.

The load is redis-benchmark at nodes that stay, and clients of history.py at all members, also at those that go.
"""
import collections
import hashlib
import re
import shutil
import subprocess
import threading
import time

import cluster
from bootstrap import members, wait_members
from cluster import NO_QUORUM
from history import ACKNOWLEDGED, REFUSED, UNKNOWN, Load

# Of the table in src/kv/README.md: what a client may try again, -UNKNOWN if the command may be repeated.
RETRYABLE = {'UNKNOWN', 'CLUSTERDOWN', 'BUSY'}
# RAFT ADD and REMOVE: another node leads; the outcome is unknown; the leader has not committed its first entry; the new
# voters did not keep up with the load; the voters that would be left do not answer. Nothing has changed after the last
# three.
RETRYABLE_CHANGE = ('NOTLEADER', 'UNKNOWN', 'has not committed an entry of term', 'is not complete and committed yet',
                    'does not catch up', NO_QUORUM)
CHANGE_ATTEMPTS = 10


class Benchmark(threading.Thread):
    """redis-benchmark sets keys at one node, again and again. An error reply ends a run, whatever its options are: so
    each run is counted with the error that ended it."""

    def __init__(self, node, requests):
        super().__init__(daemon=True)
        # 1,000 keys: small answers when everything is read.
        self.command = ['redis-benchmark', '-p', str(node.port), '-t', 'set', '-r', '1000', '-c', '8', '-n',
                        str(requests), '-q']
        self.node, self.requests = node, requests
        self.whole_runs = 0
        self.errors = collections.Counter()
        self.failure = None
        self.ending = threading.Event()

    def run(self):
        while self.failure is None and not self.ending.is_set():
            try:
                ran = subprocess.run(self.command, capture_output=True, text=True, timeout=60)
            except subprocess.TimeoutExpired as error:
                self.failure = f'redis-benchmark at node {self.node.id}: {error}'
                return
            output = ran.stdout + ran.stderr
            error = re.search(r'Error from server: (\w+)', output)
            if error is not None and ran.returncode == 1:
                self.errors[error[1]] += 1
            elif ran.returncode == 0 and 'requests per second' in output and 'rror' not in output:
                self.whole_runs += 1
            else:
                self.failure = f'redis-benchmark at node {self.node.id} ended with {ran.returncode}:\n{output}'

    def end(self):
        self.ending.set()
        self.join(timeout=90)
        assert not self.is_alive(), f'redis-benchmark at node {self.node.id} does not end'
        assert self.failure is None, self.failure


class Phases:
    def __init__(self, c, load, arguments):
        self.cluster, self.load, self.arguments = c, load, arguments
        self.errors = collections.Counter()  # of redis-benchmark
        self.told = []
        self.leader = None  # of the last change: who carried it out

    def run(self, before, choose):
        """From the members `before` to those that `choose(leader)` names, by one change. Returns them."""
        leader = self.cluster.wait_leader(before)
        after = choose(leader)
        name = f'{len(before)} -> {len(after)}'
        staying = [n for n in before if n in after]
        benchmarks = [Benchmark(n, self.arguments.requests) for n in staying[:2]]
        for benchmark in benchmarks:
            benchmark.start()
        self.load.wait_for_writes(self.arguments.writes)
        cluster.wait_for(lambda: all(b.whole_runs or b.errors or b.failure for b in benchmarks), 'redis-benchmark')
        begun = time.monotonic()
        leader, after, refusals = self.change(before, choose)
        changed = time.monotonic()
        whole_before = {b: b.whole_runs for b in benchmarks}
        self.leader = leader
        wait_members(after, sorted(n.id for n in after))
        successor = self.cluster.wait_leader(after)
        cluster.wait_for(lambda: self.load.first_success_after(changed), 'a write after the change')
        if len(after) < len(before):
            self.load.use(after)
        self.load.wait_for_writes(self.arguments.writes)
        pause = self.load.longest_pause(begun, time.monotonic())
        # One that has begun after the change, and is whole: that which was under way does not count.
        for benchmark in benchmarks:
            if benchmark.node in after:
                cluster.wait_for(lambda b=benchmark: b.failure or b.whole_runs > whole_before[b] + 1,
                                 f'a whole run of redis-benchmark at node {benchmark.node.id} after the change', 90)
        for benchmark in benchmarks:
            benchmark.end()
            assert benchmark.errors.keys() <= RETRYABLE, f'redis-benchmark saw {dict(benchmark.errors)}'
            self.errors += benchmark.errors
        runs = sum(b.whole_runs for b in benchmarks)
        self.told.append(
            f'{name}: {1000 * (pause[1] - pause[0]):.0f} ms without an acknowledged write at most; changed after '
            f'{1000 * (changed - begun):.0f} ms, refused before: {refusals or "never"}; led by node {leader.id}, then '
            f'node {successor.id}; redis-benchmark: {runs} runs of {self.arguments.requests} SETs, ended by errors: '
            f'{dict(sum((b.errors for b in benchmarks), collections.Counter()))}')
        print(self.told[-1], flush=True)
        return after

    def change(self, before, choose):
        """One command with all steps. Who led when it was carried out, the new members, and what was refused before."""
        refusals = []
        for _ in range(CHANGE_ATTEMPTS):
            leader = self.cluster.wait_leader(before)
            after = choose(leader)
            steps = [word for n in after if n not in before for word in ('ADD', n.id, n.addr)]
            steps += [word for n in before if n not in after for word in ('REMOVE', n.id)]
            try:
                with leader.client(60.0) as client:
                    assert client.command('RAFT', *steps) == b'OK'
                return leader, after, refusals
            except cluster.RedisError as error:
                assert any(text in str(error) for text in RETRYABLE_CHANGE), f'RAFT {steps}: {error}'
                refusals.append(str(error))
                if error.code == 'UNKNOWN' and self.is_done(after):
                    return leader, after, refusals
        raise AssertionError(f'RAFT {steps} was refused {CHANGE_ATTEMPTS} times: {refusals}')

    @staticmethod
    def is_done(after):
        """Once no change is under way any more: has it come about?"""
        ids = cluster.wait_for(lambda: members(after[0]), f'node {after[0].id} to have no joint configuration')
        return ids == sorted(n.id for n in after)


def digest(node):
    """Of all keys and values, as this node, which leads, has applied them."""
    with node.client(60.0) as client:
        cursor, keys = b'0', []
        while True:
            cursor, some = client.command('SCAN', cursor, 'COUNT', 1000)
            keys += some
            if cursor == b'0':
                break
        keys.sort()
        state = hashlib.sha256()
        for start in range(0, len(keys), 500):
            some = keys[start:start + 500]
            for key, value in zip(some, client.command('MGET', *some)):
                assert value is not None, key
                state.update(b'%d %s %d %s ' % (len(key), key, len(value), value))
    return len(keys), state.hexdigest()


def check_equal(c, nodes, load):
    """Each leads once, because what is read through a follower is what the leader has applied."""
    states = {}
    for node in nodes:
        c.make_leader(node, nodes)
        load.check(node)
        states[node.id] = digest(node)
    keys = {n.id: int(n.info()['keys']) for n in nodes}
    assert len(set(states.values())) == 1, f'the nodes differ: {states}'
    count = states[nodes[0].id][0]
    assert set(keys.values()) == {count}, f'{count} keys were read, and the nodes have {keys}'
    print(f'nodes {[n.id for n in nodes]} have the same {count} keys with the same values')


def test(arguments):
    if shutil.which('redis-benchmark') is None:
        raise cluster.Skip('redis-benchmark is missing (Debian: redis-tools)')
    with cluster.Cluster(arguments.binary, size=7, growing=True) as c:
        for node in c.nodes:
            node.start()
        for node in c.nodes:
            node.wait_ready()
        now = c.nodes[:1]
        c.wait_leader(now)
        with Load(now) as load:
            phases = Phases(c, load, arguments)
            for size in (3, 5, 7):
                now = phases.run(now, lambda _leader, size=size: c.nodes[:size])
                load.use(now)
            # The leader at the time of the change is among the removed: chosen again if the change is refused.
            now = phases.run(now, lambda leader: [n for n in c.nodes if n is not leader][:3])
            assert phases.leader not in now, f'node {phases.leader.id}, which carried the change out, was not removed'
            for node in c.nodes:
                if node not in now:
                    code = node.terminate()
                    assert code == 0, f'node {node.id} ended with {code}'
            load.wait_for_writes(arguments.writes)
        errors = load.errors()
        assert errors.keys() <= RETRYABLE, f'the clients saw {dict(errors)}'
        counts = ', '.join(f'{load.count(o)} {o}' for o in (ACKNOWLEDGED, REFUSED, UNKNOWN))
        print(f'writes: {counts}; error replies: {dict(errors)}; runs of redis-benchmark ended by error replies: '
              f'{dict(phases.errors)}')
        check_equal(c, now, load)
        print('0 acknowledged writes lost, 0 duplicated')


if __name__ == '__main__':
    cluster.run(test, [('--writes', 500, 'acknowledged before and after each change'),
                       ('--requests', 1000, 'of each run of redis-benchmark')], limit=150)
