"""Real nodes, each in a network namespace of its own, under everything that a network and a machine can do to them; what
the clients saw is linearizable, and when all is healed, everything goes on.

First the topologies that are known to have stopped or shaken clusters (A12 and A13 of the catalogue), one after the
other; then faults drawn from a seed: SIGKILL and restart, SIGSTOP and SIGCONT, full partitions, one-way partitions,
bridges, chains and stars, lossy and slow links, clients that cannot reach their node. The clients' history is checked by
`ringraft-sim check`, the checker that the simulator uses. About three minutes by default; a soak of an hour is

    python3 tests/e2e/partitions.py BUILD/src/kv/ringraft-kv --sim BUILD/src/sim/ringraft-sim \\
        --seconds 3600 --seed 7 --limit 4500

With --self-test, a short recorded history passes the checker and forged ones (forgeries.py) do not; that needs no
namespaces. The rest needs root, ip, tc, nft, nsenter and setpriv, and is skipped where they are missing.
"""
import collections
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import cluster
import forgeries
import namespaces
from namespaces import CLIENTS, address, between, both_ways, only
from recorder import Load

SHORT = bool(os.environ.get('RINGRAFT_TEST_SHORT'))
PEER_PORT, CLIENT_PORT = 7101, 6379
# Long enough that a busy machine deposes nobody by being slow.
ELECTION_MIN, ELECTION_MAX = 1.0, 2.0
DEADLINE = 3.0
TIMES = ('--election-timeout', f'{1000 * ELECTION_MIN:.0f}-{1000 * ELECTION_MAX:.0f}', '--heartbeat', '100',
         '--deadline-ms', f'{1000 * DEADLINE:.0f}')
PATIENCE = 120  # seconds to wait for what must come; no claim about how long it takes
RATES = ('64kbit', '256kbit', '1mbit', '4mbit')


class Whole(int):
    """An option that is not cut down with RINGRAFT_TEST_SHORT."""


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
        return {node: node.info() for node in nodes or self.nodes}

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
        """The clients rest, and all nodes have the same log, all of it committed: then who can be elected is a matter of
        connections alone. Returns the leader."""
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
        goal = int(leader.info()['commit_index']) + 10
        cluster.wait_for(lambda: int(leader.info()['commit_index']) >= goal, f'commits at node {leader.id}', PATIENCE)
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
        self.heal()
        self.network.check()
        leader = self.cluster.wait_leader(timeout=PATIENCE)
        self.wait_commits(leader)
        for node in self.nodes:
            def is_answered():
                with node.client(DEADLINE + 2) as client:
                    return client.command('SET', f'progress:{node.id}', 'made') == b'OK'
            cluster.wait_for(is_answered, f'node {node.id} to take a command', PATIENCE)
        self.rest_equal()


class StallWatch(threading.Thread):
    """How long this machine let a thread wait that only wanted to run. An election after such a stall says nothing about
    the protocol."""

    def __init__(self):
        super().__init__(daemon=True)
        self.worst = 0.0
        self.ending = threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.join()

    def run(self):
        while not self.ending.is_set():
            before = time.monotonic()
            time.sleep(0.02)
            self.worst = max(self.worst, time.monotonic() - before - 0.02)


def arrange(machines, choice, shape, worst_first=True):
    """`shape` has places 1, 2, ...: the leader takes the first, the others are drawn. Returns {place: node's id}, edges."""
    leader = machines.rest_equal()
    others = [n.id for n in machines.nodes if n is not leader]
    choice.shuffle(others)
    places = dict(enumerate([leader.id, *others] if worst_first else [*others, leader.id], 1))
    edges = {(places[a], places[b]) for a, b in shape}
    machines.network.cut(only([n.id for n in machines.nodes], edges))
    machines.network.check()
    machines.load.go_on()
    return places, edges


def told(name, machines, begun, leader):
    print(f'{name}: node {leader.id} commits again after {time.monotonic() - begun:.1f} s', flush=True)
    machines.check_alive()
    machines.heal()


def bridge_holds(machines, choice, hold):
    """A12, partial failure of a switch: 1, 2 and 3 see each other, 4 sees only 2, and 5 only 3. Nodes 4 and 5 do not hear
    leader 1 and would stand for election for ever. PreVote and stickiness keep them from deposing it, so there is one
    leader for as long as this lasts."""
    shape = ((1, 2), (1, 3), (2, 3), (4, 2), (5, 3))
    for attempt in range(3):
        places, edges = arrange(machines, choice, shape)
        with StallWatch() as watch:
            leader, term = machines.wait_leader_within(edges, {places[1], places[2], places[3]})
            machines.wait_commits(leader)
            before = int(leader.info()['commit_index'])
            watch.worst = 0.0
            change = watch_leader(machines, edges, leader, term, hold)
        if change is None:
            break
        # A machine that stands still makes elections; a protocol that does so must do it on one that does not.
        assert watch.worst > ELECTION_MIN / 3, f'{change}, and this machine was at most {watch.worst:.2f} s late'
        assert attempt < 2, f'{change}; this machine stalls too often to tell ({watch.worst:.2f} s)'
        print(f'bridge: {change}, but this machine stood still for {watch.worst:.2f} s: once more', flush=True)
        machines.heal()
    commits = int(leader.info()['commit_index']) - before
    print(f'bridge (1-2-3, 4-2, 5-3): 0 leader changes in {hold} s, {commits} commits, term {term}', flush=True)
    machines.check_alive()
    machines.heal()


def watch_leader(machines, edges, leader, term, hold):
    """What changed within `hold` seconds; None if nothing did."""
    end = time.monotonic() + hold
    while time.monotonic() < end:
        infos = machines.infos()
        if infos[leader]['role'] != 'leader':
            return f'node {leader.id}, leader of term {term}, is {infos[leader]["role"]} of term {infos[leader]["term"]}'
        for node, info in infos.items():
            if int(info['term']) != term:
                return f'node {node.id} is at term {info["term"]}; that of leader {leader.id} was {term}'
        machines.check_alive()
        time.sleep(0.1)
    return None


def quorum_loss(machines, choice):
    """A13: everybody sees only 2, the leader 1 too. Leader 1 must notice that it has lost its majority (CheckQuorum), so
    that 2 no longer hears a leader and may stand."""
    begun = time.monotonic()
    places, edges = arrange(machines, choice, ((1, 2), (3, 2), (4, 2), (5, 2)))
    leader, _ = machines.wait_leader_within(edges, {places[2]})
    machines.wait_commits(leader)
    told('quorum loss', machines, begun, leader)


def constrained_election(machines, choice):
    """A13: leader 1 is cut off, 3, 4 and 5 see only 2. Nobody but 2 can have a majority, and 2 has the whole log."""
    begun = time.monotonic()
    places, edges = arrange(machines, choice, ((3, 2), (4, 2), (5, 2)))
    leader, _ = machines.wait_leader_within(edges, {places[2]})
    machines.wait_commits(leader)
    told('constrained election', machines, begun, leader)


def constrained_election_behind(machines, choice, hold):
    """What Raft cannot do. The same topology, but 2 was away and lacks what 3, 4 and 5 have committed. They see only 2, so
    none of them can have a majority; 2 sees all of them, but they must not vote for a log that lacks committed entries
    (§5.4.1). A majority is connected by way of 2, and yet there is no leader until one more link heals: protocols that
    elect a leader first and fetch the log afterwards (Paxos) get out of this, Raft does not, with PreVote and CheckQuorum
    or without. So nothing is required here but that 2 does not lead; and that commits resume with the one link more."""
    leader = machines.rest_equal()
    behind = choice.choice([n for n in machines.nodes if n is not leader])
    others = [n for n in machines.nodes if n is not behind]
    machines.network.cut(between([behind.id], [n.id for n in others]))
    machines.load.go_on()
    machines.wait_commits(machines.cluster.wait_leader(others, PATIENCE))
    machines.load.rest()
    leader = machines.cluster.wait_leader(others, PATIENCE)
    cluster.wait_for(lambda: len({i['last_index'] for i in machines.infos(others).values()}) == 1,
                     'the others to have the same log', PATIENCE)
    ends = [n.id for n in others if n is not leader]
    star = {(behind.id, end) for end in ends}
    every = [n.id for n in machines.nodes]
    machines.network.cut(only(every, star))
    machines.network.check()
    machines.load.go_on()
    end = time.monotonic() + hold
    while time.monotonic() < end:
        assert behind.info()['role'] != 'leader', f'node {behind.id} leads without what the others committed'
        time.sleep(0.1)
    begun = time.monotonic()
    edges = star | {(ends[0], ends[1])}
    machines.network.cut(only(every, edges))
    # Node 2 is brought up to date by the first leader, and may lead the next term itself.
    leader, _ = machines.wait_leader_within(edges, {behind.id, ends[0], ends[1]})
    machines.wait_commits(leader)
    told('constrained election with an outdated hub: nobody leads; with one link more', machines, begun, leader)


def chained(machines, choice):
    """A13: a chain with the leader at its end. It sees no majority and gives up; each of the three in the middle has just
    one. Whichever leads, a neighbour hears of it and vetoes the other end's wish to stand (stickiness): no flip-flop."""
    begun = time.monotonic()
    places, edges = arrange(machines, choice, ((1, 2), (2, 3), (3, 4), (4, 5)))
    leader, _ = machines.wait_leader_within(edges, {places[2], places[3], places[4]})
    machines.wait_commits(leader)
    told('chained', machines, begun, leader)


# Faults drawn from the seed. Each returns {name: what to do}, for the hosts in drawn order.

def full_partition(choice, hosts):
    size = choice.randrange(1, len(hosts))
    return between(hosts[:size], hosts[size:])


def one_way_partition(choice, hosts):
    kind = choice.choice(('mute', 'deaf', 'groups', 'links'))
    if kind == 'mute':
        return {(hosts[0], other) for other in hosts[1:]}
    if kind == 'deaf':
        return {(other, hosts[0]) for other in hosts[1:]}
    if kind == 'groups':
        size = choice.randrange(1, len(hosts))
        return {(a, b) for a in hosts[:size] for b in hosts[size:]}
    return {link for link in sorted(namespaces.all_links(hosts)) if choice.random() < 0.35}


def bridge(choice, hosts):
    """Two groups with one or two hosts in both, a star, a chain, or the switch of A12."""
    kind = choice.choice(('bridge', 'wide bridge', 'star', 'chain', 'switch'))
    if kind == 'star':
        return only(hosts, {(hosts[0], other) for other in hosts[1:]})
    if kind == 'chain':
        return only(hosts, set(zip(hosts, hosts[1:])))
    if kind == 'switch' and len(hosts) == 5:
        return only(hosts, {(hosts[a - 1], hosts[b - 1]) for a, b in ((1, 2), (1, 3), (2, 3), (4, 2), (5, 3))})
    middle = 2 if kind == 'wide bridge' and len(hosts) > 3 else 1
    rest = hosts[middle:]
    return between(rest[:len(rest) // 2], rest[len(rest) // 2:])


class Storm:
    """Rounds of faults: some on the network and some on the machines, at once."""

    def __init__(self, machines, choice):
        self.machines, self.choice = machines, choice
        self.network = machines.network
        self.counts = collections.Counter()
        self.rounds = 0

    def run(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.rounds += 1
            self.round(end)

    def drawn_hosts(self):
        """All of them, half of the time the leader first."""
        hosts = [n.id for n in self.machines.nodes]
        self.choice.shuffle(hosts)
        first = self.choice.random() < 0.5
        leader = self.machines.likely_leader() if first else None
        if leader is not None:
            hosts.remove(leader.id)
            hosts.insert(0, leader.id)
        return hosts

    def round(self, end):
        choice, names = self.choice, []
        cuts = self.network_faults(names)
        cuts |= self.client_faults(names)
        self.network.cut(cuts)
        self.slow_links(names)
        repairs = self.machine_faults(names)
        hold = choice.choice((0.3, 1.5, 3.0, 6.0)) * (0.5 + choice.random())
        early = choice.random() < 0.5  # the machines come back while the network is still broken
        calm = choice.choice((0.0, 0.5, 4.0)) * (0.5 + choice.random())
        self.counts.update(names)
        passed = (time.monotonic_ns() - self.machines.load.history.begun) / 1e9
        print(f'{passed:6.1f} s  round {self.rounds}: {", ".join(names) or "nothing"} for {hold:.1f} s', flush=True)
        self.sleep(hold / 2 if early else hold, end)
        for repair in repairs:
            repair()
        if early:
            self.sleep(hold / 2, end)
        self.network.heal()
        self.sleep(calm, end)

    def sleep(self, seconds, end):
        """A fault's length is part of the draw. Nothing is claimed of what happens meanwhile but that no node dies."""
        until = min(time.monotonic() + seconds, end)
        while True:
            self.machines.check_alive()
            left = until - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, 0.2))

    def network_faults(self, names):
        cuts = set()
        if self.choice.random() < 0.75:
            fault = self.choice.choice((full_partition, one_way_partition, bridge))
            cuts |= fault(self.choice, self.drawn_hosts())
            names.append(fault.__name__.replace('_', ' '))
        if self.choice.random() < 0.2:
            links = sorted(namespaces.all_links([n.id for n in self.machines.nodes]))
            self.network.lose(link for link in links if self.choice.random() < 0.5)
            names.append('lossy links')
        return cuts

    def client_faults(self, names):
        """Some nodes and the clients do not hear each other, or one of them does not."""
        if self.choice.random() >= 0.2:
            return set()
        hosts = self.drawn_hosts()
        hosts = hosts[:self.choice.randrange(1, len(hosts))]
        names.append('clients cut off')
        links = both_ways((CLIENTS, host) for host in hosts)
        way = self.choice.randrange(3)
        return {(a, b) for a, b in links if way == 2 or (a == CLIENTS) == (way == 0)}

    def slow_links(self, names):
        if self.choice.random() >= 0.25:
            return
        hosts = self.drawn_hosts()
        rate = self.choice.choice(RATES)
        for host in hosts[:self.choice.randrange(1, len(hosts) + 1)]:
            self.network.shape(host, rate)
        names.append('slow links')

    def machine_faults(self, names):
        """Returns what undoes them."""
        if self.choice.random() >= 0.6:
            return []
        kind = self.choice.choice(('SIGKILL', 'SIGSTOP'))
        by_id = {n.id: n for n in self.machines.nodes}
        hosts = self.drawn_hosts()
        most = self.choice.choice((1, 1, len(hosts) // 2, len(hosts) // 2 + 1, len(hosts)))
        victims = [by_id[host] for host in hosts[:most]]
        names.append(f'{kind} of {len(victims)}')
        if kind == 'SIGSTOP':
            for node in victims:
                self.machines.stop(node)
            return [lambda node=node: self.machines.resume(node) for node in victims]
        for node in victims:
            node.process.kill()  # all of them before any is waited for
        for node in victims:
            node.kill()
        return [node.start for node in victims]


def kinds(counts):
    """Faults by kind, whatever their number of victims."""
    merged = collections.Counter()
    for name, count in counts.items():
        merged[name.split(' of ')[0]] += count
    return ', '.join(f'{count} {name}' for name, count in sorted(merged.items())) or 'none'


def checked(sim, path, *options):
    """(is linearizable, what the checker says)."""
    done = subprocess.run([sim, 'check', path, '--model', 'kv', *options], capture_output=True, text=True, timeout=600)
    assert done.returncode in (0, 1), f'the checker ended with {done.returncode}: {done.stdout}{done.stderr}'
    return done.returncode == 0, done.stdout.strip()


def verdict(arguments, machines, faults):
    """Prints what happened and raises if it must not have. What is needed to look into it is kept."""
    history = machines.load.history
    path = os.path.join(machines.cluster.directory, 'history')
    history.write(path)
    begun = time.monotonic()
    is_fine, text = checked(arguments.sim, path, '--html', path + '.html')
    gap, since = history.longest_silence()
    print(f'operations: {len(history.lines)} recorded, {history.unknown()} of them unknown; refused: '
          f'{dict(history.refused)}\nfaults: {faults}\nlongest time without any success: {gap:.1f} s, '
          f'{since:.1f} s after the beginning\nverdict after {time.monotonic() - begun:.1f} s: {text}', flush=True)
    if arguments.keep or not is_fine:
        keep(arguments.keep or tempfile.mkdtemp(prefix=f'ringraft-partitions-{arguments.seed}-'), machines.cluster)
    assert is_fine, f'seed {arguments.seed}: what the clients saw is not linearizable'


def keep(folder, machines):
    os.makedirs(folder, exist_ok=True)
    for name in os.listdir(machines.directory):
        if name.startswith('history') or name.endswith('.log'):
            shutil.copy(os.path.join(machines.directory, name), folder)
    print(f'history, drawing and logs are kept in {folder}', flush=True)


def campaign(arguments):
    choice = random.Random(arguments.seed)
    machines = Machines(arguments)
    machines.network.check()
    faults = collections.Counter()
    with machines.cluster:
        for node in machines.nodes:
            node.start()
        for node in machines.nodes:
            node.wait_ready(PATIENCE)
        machines.cluster.wait_leader(timeout=PATIENCE)
        with machines.load as load:
            if len(machines.nodes) == 5:
                bridge_holds(machines, choice, arguments.hold)
                quorum_loss(machines, choice)
                constrained_election(machines, choice)
                constrained_election_behind(machines, choice, 2 * ELECTION_MAX)
                chained(machines, choice)
                load.rest()
                load.go_on()
            storm = Storm(machines, choice)
            storm.run(arguments.seconds)
            faults = storm.counts
            machines.require_progress()
        load.check()
        load.read_everything(choice.choice(machines.nodes))
        verdict(arguments, machines, kinds(faults) + f', in {storm.rounds} rounds')


def self_test(arguments):
    """A history of three nodes on loopback, one of them killed meanwhile."""
    with cluster.Cluster(arguments.binary, size=3, extra=TIMES) as c:
        leader = c.start()
        with Load(c.nodes, arguments.clients, DEADLINE, 0.002, arguments.seed) as load:
            history = load.history
            cluster.wait_for(lambda: len(history.successes) > 500, 'operations', PATIENCE)
            leader.kill()
            leader.start()
            leader.wait_ready(PATIENCE)
            moment = time.monotonic_ns()
            cluster.wait_for(lambda: history.first_success_after(moment), 'an operation after the kill', PATIENCE)
            goal = len(history.successes) + 500
            cluster.wait_for(lambda: len(history.successes) > goal, 'more operations', PATIENCE)
            load.rest()
        c.wait_leader(timeout=PATIENCE)
        load.read_everything(c.nodes[0])
        path = os.path.join(c.directory, 'history')
        history.write(path)
        is_fine, text = checked(arguments.sim, path)
        print(f'as recorded: {text}', flush=True)
        assert is_fine, 'the history as it was recorded is not linearizable'
        recorded = list(history.lines)
        for forgery in forgeries.ALL:
            history.lines = forgery(recorded)
            history.write(path)
            is_fine, text = checked(arguments.sim, path)
            assert not is_fine, f'the checker accepts a history with {forgery.__name__.replace("_", " ")}'
            assert 'NOT linearizable' in text and 'no order of these' in text, f'it was not found but given up: {text}'
            small = text.splitlines()[1].split(':', 1)[1].split(' on ')[0].strip()
            print(f'{forgery.__name__.replace("_", " ")}: found ({small})', flush=True)


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
                   ('--seconds', Whole(20 if SHORT else 120), 'of drawn faults, after the topologies'),
                   ('--seed', Whole(1), 'of the faults and of what the clients ask'),
                   ('--nodes', Whole(5), 'in the cluster; the topologies need 5'),
                   ('--clients', Whole(12), 'at once'),
                   ('--pause', Whole(8), 'ms on average between an answer and the next operation of a client'),
                   ('--hold', 20, 'seconds for which the bridge must keep its leader'),
                   ('--keep', '', 'a folder for history, drawing and logs; they are kept anyway if it fails'),
                   ('--self-test', False, 'check a recorded history and forged ones instead')], limit=540)
