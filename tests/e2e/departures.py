"""The leader departs under load, again and again: how long no write was acknowledged each time, and what the nodes did
meanwhile. What kill_leader.py and planned_stop.py share.

The pauses are compared with their limits, and that is printed. It decides about the exit code only with --judge, which
is for a machine that does nothing else: tests assert no time."""
import datetime
import math
import re
import statistics
import threading
import time

import cluster
from history import ACKNOWLEDGED, REFUSED, UNKNOWN, Load

HANDS_OVER = 'transfers leadership to'
TOLD = re.compile(rf'(\S+Z) \w+ +node \d+: ((?:leads|follows|starts|{HANDS_OVER}|stopped).*)')
ELECTION_TIMEOUT = 500  # milliseconds, the longest by default
JUDGE = ('--judge', False, 'fail if a limit of the pauses is missed')
SLACK = 0.1  # seconds before a departure that its pause may begin in, and after its end


class Watch(threading.Thread):
    """Asks the nodes for role and term all the time, because the logs do not tell who stood in vain."""

    def __init__(self, nodes, interval=0.005):
        super().__init__(daemon=True)
        self.clients = {node: node.client(2.0) for node in nodes}
        self.interval = interval
        self.events = []  # (moment, node's id, text)
        self.latest = 0.0  # seconds by which this thread itself ran too late, at most
        self.ending = threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.join(timeout=20)
        for client in self.clients.values():
            client.close()

    def run(self):
        states = {}
        while not self.ending.is_set():
            for node, client in self.clients.items():
                info = client.command('INFO', 'raft').decode()
                state = re.search(r'role:(\w+)\r\nterm:(\d+)', info).groups()
                before = states.get(node)
                states[node] = state
                if before not in (None, state):
                    what = 'is {} in term {}'.format(*state)
                    if state == ('candidate', before[1]):
                        what += ', and asks for pre-votes'
                    self.events.append((time.monotonic(), node.id, what))
            rested = time.monotonic()
            time.sleep(self.interval)
            self.latest = max(self.latest, time.monotonic() - rested - self.interval)


class Departure:
    """One of them: all moments are of the monotonic clock."""

    def __init__(self, node, term, begun):
        self.node, self.term, self.begun = node, term, begun
        self.ended = None  # the process is gone
        self.successor = None
        self.elections = 0  # terms that it took
        self.pause = None   # (begin, end), between two acknowledged writes
        self.events = []    # (moment, node's id, text)
        self.lateness = 0.0

    @property
    def milliseconds(self):
        return 1000 * (self.pause[1] - self.pause[0])

    def read_logs(self, nodes):
        """What the nodes told since it began. Their clock is that of the wall, to the millisecond."""
        wall = time.time() - time.monotonic()
        for node in nodes:
            for stamp, text in TOLD.findall(node.log()):
                moment = datetime.datetime.fromisoformat(stamp.replace('Z', '+00:00')).timestamp() - wall
                if moment > self.begun - 0.002:
                    self.events.append((moment, node.id, text))
        self.events.sort()

    def first(self, *texts):
        return next((m for m, _, told in self.events if any(text in told for text in texts)), None)

    def phases(self):
        marks = [('a node campaigned', self.first('is candidate')), ('the hand-over began', self.first(HANDS_OVER)),
                 (f'node {self.successor.id} led', self.first('leads term')),
                 ('a write was acknowledged', self.pause[1])]
        words, last = [], self.begun
        for what, moment in sorted((mark for mark in marks if mark[1] is not None), key=lambda mark: mark[1]):
            words.append(f'{1000 * (moment - last):.0f} ms until {what}')
            last = moment
        return ', '.join(words)

    def explain(self):
        print(f'the worst: node {self.node.id} departed, node {self.successor.id} led after '
              f'{"one election" if self.elections == 1 else f"{self.elections} elections, so the vote was split"}; '
              f'{self.phases()}; this machine let a thread wait {1000 * self.lateness:.0f} ms at most', flush=True)
        for moment, node, text in self.events:
            if moment <= max(self.pause[1], self.ended) + SLACK:
                print(f'  {1000 * (moment - self.begun):+7.1f} ms  node {node} {text}')


def depart(c, load, leave):
    """`leave(leader)` ends the leader's process. Afterwards another one leads, and writes are acknowledged again."""
    leader = c.wait_leader()
    others = [n for n in c.nodes if n is not leader]
    with Watch(others) as watch:
        departure = Departure(leader, int(leader.info()['term']), time.monotonic())
        leave(leader)
        departure.ended = time.monotonic()
        answered = cluster.wait_for(lambda: load.first_success_after(departure.ended), 'a write after the departure')
        departure.successor = c.wait_leader(others)
    departure.elections = int(departure.successor.info()['term']) - departure.term
    load.wait_for_writes(100)
    departure.pause = load.longest_pause(departure.begun - SLACK, answered + SLACK)
    departure.events, departure.lateness = watch.events, watch.latest
    departure.read_logs(c.nodes)
    return departure


def percentile(values, percent):
    """The smallest of the values that so many percent do not exceed."""
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]


def campaign(arguments, what, count, leave, limits, check=None):
    """The whole test: `count` departures of the leader, each looked at by `check(departure)`. `limits` are (percent,
    milliseconds): so many percent of the pauses may not exceed it."""
    departures = []
    with cluster.Cluster(arguments.binary) as c:
        c.start()
        with Load(c.nodes) as load:
            for number in range(1, count + 1):
                load.wait_for_writes(arguments.writes)
                departure = depart(c, load, leave)
                departures.append(departure)
                if check is not None:
                    check(departure)
                leader, pause = departure.node, departure.milliseconds
                print(f'{what} {number}: node {leader.id} to node {departure.successor.id}, {pause:.1f} ms without an '
                      f'acknowledged write: {departure.phases()}', flush=True)
                leader.start()
                leader.wait_ready()
                c.wait_caught_up(leader)
        tell(what, departures, load)
        for node in c.nodes:
            c.make_leader(node)
            load.check(node)
        print('0 acknowledged writes lost, 0 duplicated, on every node')
    missed = judge([d.milliseconds for d in departures], limits)
    assert not (missed and arguments.judge), f'--judge: {"; ".join(missed)}'


def judge(pauses, limits):
    """Prints for each limit whether it is met. The verdicts on those that are not."""
    missed = []
    for percent, limit in limits:
        value = statistics.median(pauses) if percent == 50 else percentile(pauses, percent)
        name = 'median' if percent == 50 else f'{percent}th percentile'
        verdict = f'{name} {value:.1f} ms, limit {limit:g} ms: {"met" if value <= limit else "missed"}'
        print(verdict, flush=True)
        if value > limit:
            missed.append(verdict)
    return missed


def tell(what, departures, load):
    pauses = [d.milliseconds for d in departures]
    counts = ', '.join(f'{load.count(o)} {o}' for o in (ACKNOWLEDGED, REFUSED, UNKNOWN))
    print(f'pause over {len(pauses)} times {what}: median {statistics.median(pauses):.1f} ms, 90th percentile '
          f'{percentile(pauses, 90):.1f} ms, worst {max(pauses):.1f} ms; '
          f'{sum(d.elections > 1 for d in departures)} took more than one election; writes: {counts}', flush=True)
    max(departures, key=lambda d: d.milliseconds).explain()
