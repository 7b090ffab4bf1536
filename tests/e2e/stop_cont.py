"""The leader is suspended for two seconds: another one leads, and the old one neither answers from its stale state when
it wakes up nor loses anything."""
import signal
import time

import cluster
from history import ACKNOWLEDGED, Load


def test(arguments):
    with cluster.Cluster(arguments.binary) as c:
        c.start()
        with Load(c.nodes) as load:
            values = 0
            for round_number in range(arguments.rounds):
                load.wait_for_writes(arguments.writes)
                values += suspend_leader(c, load, round_number)
        print(f'{arguments.rounds} suspended leaders, {values} late values, {load.count(ACKNOWLEDGED)} acknowledged '
              'writes')
        assert values > 0, 'every late read ended with an error: nothing was seen that could have been stale'
        for node in c.nodes:
            load.check(node)


def suspend_leader(c, load, round_number):
    """How many late reads were answered with a value."""
    old = c.wait_leader()
    term = int(old.info()['term'])
    key, before, after = f'stale:{round_number}', b'before', b'after'
    with old.client(30.0) as at_old:
        assert at_old.command('SET', key, before) == b'OK'
        stopped = time.monotonic()
        old.signal(signal.SIGSTOP)
        others = [n for n in c.nodes if n is not old]
        new = c.wait_leader(others)
        assert int(new.info()['term']) > term, 'a new leader has a new term'
        with new.client() as at_new:
            assert at_new.command('SET', key, after) == b'OK'
        # These lie in the old leader's socket when it wakes up and still believes that it leads.
        for _ in range(10):
            at_old.send('GET', key)
        cluster.wait_for(lambda: time.monotonic() - stopped >= 2, 'two seconds of suspension')
        old.signal(signal.SIGCONT)
        values = 0
        for _ in range(10):
            try:
                value = at_old.reply()
                assert value == after, f'a stale answer: {value!r}'
                values += 1
            except cluster.RedisError as error:
                assert error.code in ('UNKNOWN', 'CLUSTERDOWN'), f'an unexpected error: {error}'
    c.wait_leader()
    c.wait_caught_up(old)
    continued = time.monotonic()
    cluster.wait_for(lambda: load.first_success_after(continued), 'writes to go on')
    return values


cluster.run(test, [('--rounds', 3, 'how often'), ('--writes', 500, 'acknowledged before each')], limit=180)
