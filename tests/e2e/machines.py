"""A cluster of real nodes, each in a network namespace of its own, with clients that record what they see."""
import os
import shutil
import signal
import tempfile
import time

import cluster
import namespaces
from namespaces import CLIENTS, address, both_ways
from recorder import Load

PEER_PORT, CLIENT_PORT = 7101, 6379
# Long enough that a busy machine deposes no leader by being slow.
ELECTION_MIN, ELECTION_MAX = 1.0, 2.0
DEADLINE = 3.0
TIMES = ('--election-timeout', f'{1000 * ELECTION_MIN:.0f}-{1000 * ELECTION_MAX:.0f}', '--heartbeat', '100',
         '--deadline-ms', f'{1000 * DEADLINE:.0f}')
PATIENCE = 120  # seconds to wait for what must come; no claim about how long it takes


class Machines:
    """A cluster on a network, and clients on it."""

    def __init__(self, arguments):
        namespaces.enter()
        self.network = namespaces.Network(range(1, arguments.nodes + 1))
        self.cluster = cluster.Cluster(arguments.binary, size=arguments.nodes, extra=TIMES)
        self.nodes = self.cluster.nodes
        self.stopped = set()
        for node in self.nodes:
            node.host, node.peer_port, node.port = address(node.id), PEER_PORT, CLIENT_PORT
            node.arguments = self.inside(node, node.arguments)
        # Source port 0: any.
        self.load = Load(self.nodes, arguments.clients, DEADLINE, arguments.pause / 1000, arguments.seed,
                         source=(address(CLIENTS), 0))

    def inside(self, node, arguments):
        return lambda: self.network.inside(node.id, arguments())

    def check_alive(self):
        """A node ends only when it is killed."""
        for node in self.cluster.running():
            code = node.process.poll()
            assert code is None, f'node {node.id} ended by itself with {code}'
        self.load.check()

    def stop(self, node):
        node.signal(signal.SIGSTOP)
        self.stopped.add(node)

    def resume(self, node):
        if node in self.stopped:
            node.signal(signal.SIGCONT)
            self.stopped.discard(node)

    def infos(self, nodes=None):
        return {node: self.info(node) for node in nodes or self.nodes}

    @staticmethod
    def info(node):
        """Of a node that runs: a slow answer is none that counts."""
        return cluster.wait_for(node.info, f'INFO of node {node.id}', PATIENCE)

    def likely_leader(self):
        """The one with the highest term of those that say so, or None: a target, not a fact."""
        leaders = []
        for node in self.cluster.running():
            if node in self.stopped:
                continue
            try:
                info = node.info()
            except OSError:
                continue
            if info['role'] == 'leader':
                leaders.append((int(info['term']), node.id, node))
        return max(leaders)[2] if leaders else None

    def rest_equal(self):
        """The clients rest, and all nodes have the same log, all of it committed: then who can be elected is a matter
        of connections alone. Returns the leader."""
        self.load.rest()
        self.cluster.wait_leader(timeout=PATIENCE)

        def are_equal():
            infos = self.infos().values()
            return len({info[name] for info in infos for name in ('last_index', 'commit_index')}) == 1
        cluster.wait_for(are_equal, 'all nodes to have the same log', PATIENCE)
        return self.cluster.wait_leader(timeout=PATIENCE)

    def leader_within(self, edges):
        """The (node, term) of a leader that a majority is connected with and follows. None if there is none now."""
        infos = self.infos()
        for leader, info in infos.items():
            near = [n for n in self.nodes if n is not leader and (leader.id, n.id) in both_ways(edges)]
            state = (info['term'], str(leader.id))
            if info['role'] == 'leader' and 2 * (len(near) + 1) > len(self.nodes) and all(
                    (infos[n]['term'], infos[n]['leader']) == state for n in near):
                return leader, int(info['term'])
        return None

    def wait_leader_within(self, edges, among):
        def leader():
            found = self.leader_within(edges)
            return found if found and found[0].id in among else None
        return cluster.wait_for(leader, f'one of the nodes {sorted(among)} to lead', PATIENCE)

    def wait_commits(self, leader):
        """Until clients' operations are committed that were not there when this was called."""
        moment = time.monotonic_ns()

        def commit_index():
            return int(self.info(leader)['commit_index'])
        goal = commit_index() + 10
        cluster.wait_for(lambda: commit_index() >= goal, f'commits at node {leader.id}', PATIENCE)
        cluster.wait_for(lambda: self.load.history.first_success_after(moment), 'a client to be answered', PATIENCE)

    def heal(self):
        self.network.heal()
        for node in list(self.stopped):
            self.resume(node)
        for node in self.nodes:
            if node.process is None:
                node.start()
        for node in self.nodes:
            node.wait_ready(PATIENCE)

    def require_progress(self):
        """All is healed: every node takes commands again, and applies what the others do."""
        begun = time.monotonic()
        self.heal()
        self.network.check()
        leader = self.cluster.wait_leader(timeout=PATIENCE)
        self.wait_commits(leader)
        for node in self.nodes:
            def is_answered():
                with node.client(DEADLINE + 2) as client:
                    return client.command('SET', f'progress:{node.id}', 'made') == b'OK'
            cluster.wait_for(is_answered, f'node {node.id} to take a command', PATIENCE)
        print(f'all healed: every node takes commands after {time.monotonic() - begun:.1f} s', flush=True)
        begun = time.monotonic()
        self.rest_equal()
        print(f'the clients rest: all nodes have the same log after {time.monotonic() - begun:.1f} s', flush=True)

    def keep(self, folder):
        """What is needed to look into a failure."""
        os.makedirs(folder, exist_ok=True)
        source = self.cluster.directory
        if not os.path.exists(os.path.join(source, 'history')):
            self.load.history.write(os.path.join(source, 'history'))
        for name in os.listdir(source):
            if name.startswith('history') or name.endswith('.log'):
                shutil.copy(os.path.join(source, name), folder)
        print(f'history, drawing and logs are kept in {folder}', flush=True)
