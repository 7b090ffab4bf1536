"""The topologies that are known to have stopped or shaken clusters: A12 and A13 in tests/CATALOGUE.md.
Each is made of links between five nodes, under load, and healed again."""
import threading
import time

import cluster
from machines import ELECTION_MAX, ELECTION_MIN, PATIENCE
from namespaces import between, only


def run_all(machines, choice, hold):
    bridge_holds(machines, choice, hold)
    quorum_loss(machines, choice)
    constrained_election(machines, choice)
    constrained_election_behind(machines, choice, 2 * ELECTION_MAX)
    chained(machines, choice)


class StallWatch(threading.Thread):
    """How long this machine let a thread wait that only wanted to run. An election after such a stall says nothing
    about the protocol."""

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


def arrange(machines, choice, shape):
    """`shape` has places 1, 2, ...: the leader takes the first, the others are drawn. All have the same log. Returns
    {place: node's id} and the links that are left."""
    leader = machines.rest_equal()
    others = [n.id for n in machines.nodes if n is not leader]
    choice.shuffle(others)
    places = dict(enumerate([leader.id, *others], 1))
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
    """A12, partial failure of a switch: 1, 2 and 3 see each other, 4 sees only 2, and 5 only 3. Nodes 4 and 5 do not
    hear leader 1 and would campaign forever. PreVote and stickiness keep them from deposing it, so there is
    one leader for as long as this lasts."""
    shape = ((1, 2), (1, 3), (2, 3), (4, 2), (5, 3))
    for attempt in range(3):
        places, edges = arrange(machines, choice, shape)
        with StallWatch() as watch:
            leader, term = machines.wait_leader_within(edges, {places[1], places[2], places[3]})
            machines.wait_commits(leader)
            before = int(machines.info(leader)['commit_index'])
            watch.worst = 0.0
            change = watch_leader(machines, edges, leader, term, hold)
        if change is None:
            break
        # A machine that stands still makes elections; a protocol that does so must do it on one that does not.
        assert watch.worst > ELECTION_MIN / 3, f'{change}, and this machine was at most {watch.worst:.2f} s late'
        assert attempt < 2, f'{change}; this machine stalls too often to tell ({watch.worst:.2f} s)'
        print(f'bridge: {change}, but this machine stood still for {watch.worst:.2f} s: once more', flush=True)
        machines.heal()
    commits = int(machines.info(leader)['commit_index']) - before
    print(f'bridge (1-2-3, 4-2, 5-3): 0 leader changes in {hold} s, {commits} commits, term {term}', flush=True)
    machines.check_alive()
    machines.heal()


def watch_leader(machines, edges, leader, term, hold):
    """What changed within `hold` seconds; None if nothing did."""
    end = time.monotonic() + hold
    while time.monotonic() < end:
        infos = machines.infos()
        if infos[leader]['role'] != 'leader':
            now = infos[leader]
            return f'node {leader.id}, leader of term {term}, is {now["role"]} of term {now["term"]}'
        for node, info in infos.items():
            if int(info['term']) != term:
                return f'node {node.id} is at term {info["term"]}; that of leader {leader.id} was {term}'
        machines.check_alive()
        time.sleep(0.1)
    return None


def quorum_loss(machines, choice):
    """A13: every node sees only 2, leader 1 as well. Leader 1 must notice that it has lost its majority (CheckQuorum),
    so that 2 no longer hears a leader and may stand."""
    begun = time.monotonic()
    places, edges = arrange(machines, choice, ((1, 2), (3, 2), (4, 2), (5, 2)))
    leader, _ = machines.wait_leader_within(edges, {places[2]})
    machines.wait_commits(leader)
    told('quorum loss', machines, begun, leader)


def constrained_election(machines, choice):
    """A13: leader 1 is cut off, 3, 4 and 5 see only 2. Only 2 can have a majority, and 2 has the whole log."""
    begun = time.monotonic()
    places, edges = arrange(machines, choice, ((3, 2), (4, 2), (5, 2)))
    leader, _ = machines.wait_leader_within(edges, {places[2]})
    machines.wait_commits(leader)
    told('constrained election', machines, begun, leader)


def constrained_election_behind(machines, choice, hold):
    """What Raft cannot do. The same topology, but 2 was away and lacks what 3, 4 and 5 have committed. They see only 2,
    so none of them can have a majority; 2 sees all of them, but they must not vote for a log that lacks committed
    entries (§5.4.1 of the paper). A majority is connected by way of 2, and yet there is no leader until one more link
    heals: protocols that elect a leader first and fetch the log afterwards (Paxos) get out of this; Raft does not, with
    PreVote and CheckQuorum or without. So nothing is required here but that 2 does not lead, and that commits resume
    with the one link more."""
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
        assert machines.info(behind)['role'] != 'leader', f'node {behind.id} leads without what the others committed'
        time.sleep(0.1)
    begun = time.monotonic()
    edges = star | {(ends[0], ends[1])}
    machines.network.cut(only(every, edges))
    # Node 2 is brought up to date by the first leader, and may lead the next term itself.
    leader, _ = machines.wait_leader_within(edges, {behind.id, ends[0], ends[1]})
    machines.wait_commits(leader)
    told('constrained election with an outdated hub: no leader; with one link more', machines, begun, leader)


def chained(machines, choice):
    """A13: a chain with the leader at its end. It sees no majority and gives up; each of the three in the middle sees
    just one. Whichever leads, its neighbors hear it and refuse those beyond them that do not (stickiness), so that
    leadership does not go to and fro."""
    begun = time.monotonic()
    places, edges = arrange(machines, choice, ((1, 2), (2, 3), (3, 4), (4, 5)))
    leader, _ = machines.wait_leader_within(edges, {places[2], places[3], places[4]})
    machines.wait_commits(leader)
    told('chained', machines, begun, leader)
