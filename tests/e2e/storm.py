"""Faults drawn from a seed, on the network and on the machines at once."""
import collections
import signal
import time

import namespaces
from namespaces import CLIENTS, between, both_ways, only

RATES = ('64kbit', '256kbit', '1mbit', '4mbit')


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

    def summary(self):
        """Faults by kind, whatever their number of victims."""
        kinds = collections.Counter()
        for name, count in self.counts.items():
            kinds[name.split(' of ')[0]] += count
        return ', '.join(f'{count} {name}' for name, count in sorted(kinds.items())) + f', in {self.rounds} rounds'

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


# What each kind of partition cuts, for the hosts in drawn order.


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
