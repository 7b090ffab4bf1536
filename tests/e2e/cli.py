"""The operator's tool against a real cluster: every command of it, following to the leader, errors by name, JSON."""
import json
import os
import signal
import subprocess
import threading

import cluster

FAILED, USAGE, UNKNOWN = 1, 2, 3


class Tool:
    def __init__(self, program, nodes):
        self.program = os.path.abspath(program)
        self.nodes = nodes

    def run(self, *words, nodes=None, timeout=90, env=None):
        """(exit code, standard output, standard error)."""
        asked = [word for node in (nodes or self.nodes) for word in ('--node', getattr(node, 'addr', node))]
        if env is not None or words[0] == 'recover':  # which needs no node
            asked = []
        done = subprocess.run([self.program, *map(str, words), *asked], capture_output=True,
                              text=True, timeout=timeout, env={**os.environ, **(env or {})}, check=False)
        return done.returncode, done.stdout, done.stderr

    def good(self, *words, **options):
        code, out, err = self.run(*words, **options)
        assert code == 0 and not err, f'{words}: {code} {out} {err}'
        return out

    def bad(self, expected, text, *words, **options):
        code, out, err = self.run(*words, **options)
        assert code == expected and not out, f'{words}: {code} {out} {err}'
        assert err.startswith('ringraft: ') and err.count('\n') == 1 and text in err, f'{words}: {err}'
        return err

    def settled(self, *words, **options):
        """A change; again only as long as an earlier entry of the leader is not committed, or the leader has not heard
        of a majority yet."""
        retried = ('not complete and committed', 'has not committed an entry', cluster.NO_QUORUM)

        def done():
            code, out, err = self.run(*words, **options)
            assert code == 0 or any(text in err for text in retried), err
            return out if code == 0 else None
        return cluster.wait_for(done, f'{words}')

    def members(self, **options):
        return {m['id']: m for m in json.loads(self.good('members', '--json', **options))['members']}


def other_than(nodes, leader):
    return [node for node in nodes if node is not leader]


def check_reports(tool, c):
    leader = c.wait_leader()
    follower = other_than(c.nodes, leader)[0]
    assert tool.good('wait', 'leader') == f'node {leader.id} at {leader.addr} leads\n'
    assert tool.good('wait', 'healthy') == 'all 3 members are healthy\n'
    with leader.client() as client:
        for i in range(10):
            client.command('SET', f'key{i}', i)
    index = int(leader.info()['commit_index'])
    tool.good('wait', 'index', index, nodes=[follower])
    tool.bad(UNKNOWN, 'has applied up to', 'wait', 'index', index + 1000, '--timeout', '0.5')

    statuses = {n: json.loads(tool.good('status', '--json', nodes=[n])) for n in c.nodes}
    for node, status in statuses.items():
        assert status['asked'] == node.addr and status['id'] == node.id, status
        assert status['leader'] == {'id': leader.id, 'addr': leader.addr}, status
        assert status['role'] == ('leader' if node is leader else 'follower'), status
        assert status['start_count'] == 1 and status['configuration_index'] == 1 and not status['is_joint'], status
        assert [m['id'] for m in status['members']] == [1, 2, 3], status
        assert [m['is_self'] for m in status['members']] == [n is node for n in c.nodes], status
    assert len({s['cluster'] for s in statuses.values()}) == 1 and len(statuses[leader]['cluster']) == 32
    assert len({s['incarnation'] for s in statuses.values()}) == 3
    assert statuses[leader]['commit_index'] >= index
    assert all(m['is_reachable'] is True and m['match_index'] > 0 for m in statuses[leader]['members'])
    assert all(m['is_reachable'] is None and m['lag_entries'] is None for m in statuses[follower]['members'])
    contacts = {m['id']: m['last_contact_us'] for m in statuses[follower]['members']}
    assert [i for i in contacts if contacts[i] is not None] == [leader.id], contacts
    assert {s['generation'] for s in statuses.values()} == {1}, statuses

    text = tool.good('status', nodes=[follower])
    assert f'leader         node {leader.id} at {leader.addr}\n' in text and 'Only the leader knows' in text, text
    table = tool.good('members', nodes=[follower])  # the leader's
    assert table.count('  voter  ') == 3 and table.count('  yes\n') == 3, table
    assert tool.members(nodes=[follower])[leader.id]['is_self']
    by_environment = tool.good('status', '--json', env={'RINGRAFT_NODES': f'127.0.0.1:1,{follower.addr}'})
    assert json.loads(by_environment)['id'] == follower.id


def check_refusals(tool, c):
    tool.bad(FAILED, 'is a member already', 'add', 2, '127.0.0.1:1')
    tool.bad(FAILED, 'peer 9 is not a member', 'remove', 9)
    tool.bad(FAILED, 'voter already', 'promote', 1)
    tool.bad(FAILED, 'index 999', 'remove', 3, '--if', 999)
    tool.bad(FAILED, 'no voting member', 'remove', 1, 2, 3)
    tool.bad(FAILED, 'node 9 cannot become leader', 'transfer', 9)
    tool.bad(FAILED, 'would have the address', 'move', 2, c.nodes[0].addr)
    tool.bad(FAILED, 'not of group 7', 'status', '--group', 7)
    tool.bad(FAILED, 'no connection', 'status', nodes=['127.0.0.1:1'])
    err = tool.bad(FAILED, 'none of the nodes can be reached', 'remove', 3, nodes=['127.0.0.1:1', '127.0.0.1:2'])
    assert '127.0.0.1:2' in err, err
    tool.bad(FAILED, 'not that for clients', 'status', '--timeout', 2, nodes=[f'127.0.0.1:{c.nodes[0].port}'])
    tool.bad(USAGE, "unknown command 'statsu': expected one of status, members,", 'statsu')
    tool.bad(USAGE, "invalid ID 'x'", 'remove', 'x')
    tool.bad(USAGE, 'no node is named', 'status', env={'RINGRAFT_NODES': ''})
    # What is given empty, as by a script's unset variable, drops no condition.
    tool.bad(USAGE, "invalid --if ''", 'remove', 3, '--if', '')
    tool.bad(USAGE, "invalid ID ''", 'transfer', '')
    tool.bad(USAGE, "--group ''", 'status', '--group', '')
    # A node that has stopped to answer: one that is asked, and one that is passed over. The leader goes on meanwhile.
    hung, other = other_than(c.nodes, c.wait_leader())
    hung.signal(signal.SIGSTOP)
    tool.bad(UNKNOWN, 'said nothing in time', 'status', '--timeout', 0.5, nodes=[hung])
    tool.bad(UNKNOWN, 'said nothing in time', 'members', '--timeout', 0.5, nodes=[hung])
    tool.bad(FAILED, 'said nothing in time', 'demote', hung.id, '--timeout', 0.5, nodes=[hung])  # it has not been asked
    passed = json.loads(tool.good('status', '--json', '--timeout', 4, nodes=[hung, other]))
    assert passed['id'] == other.id, passed
    hung.signal(signal.SIGCONT)
    tool.good('wait', 'healthy')


def check_changes(tool, c, new):
    """Most of them through a node that does not lead."""
    everybody = c.nodes + [new]

    def follower():
        leader = c.wait_leader(everybody)
        return other_than(everybody, leader)[:1]
    new.start()
    new.wait_ready()
    out = tool.settled('add', new.id, new.addr, '--learner', '--data', 'zone "b"', nodes=c.nodes[:1])
    assert out == f'node {new.id} at {new.addr} is a learner now\n', out
    member = tool.members()[new.id]
    assert member['kind'] == 'learner' and member['data'] == 'zone "b"', member
    index = json.loads(tool.good('status', '--json'))['configuration_index']
    assert tool.settled('promote', new.id, '--if', index) == f'node {new.id} is a voter now\n'
    assert tool.members()[new.id]['kind'] == 'voter'
    tool.good('wait', 'healthy')

    for node in (new, c.nodes[0], c.nodes[1]):
        assert tool.good('transfer', node.id, nodes=follower()) == f'node {node.id} leads now\n'
        assert c.wait_leader(everybody) is node
    assert tool.good('transfer') == 'another node leads now\n'
    assert c.wait_leader(everybody) is not c.nodes[1]

    tool.settled('demote', new.id)
    assert tool.members()[new.id]['kind'] == 'learner'
    moved = f'127.0.0.1:{cluster.free_port()}'
    tool.settled('move', new.id, moved)
    assert tool.members()[new.id]['addr'] == moved
    cluster.wait_for(lambda: not tool.members()[new.id]['is_reachable'], 'its old address not to count any more')
    tool.bad(UNKNOWN, f'does not reach node {new.id} at {moved}', 'wait', 'healthy', '--timeout', 2)
    tool.settled('remove', new.id)
    assert sorted(tool.members()) == [1, 2, 3]
    new.kill()


def check_abort(tool):
    """A change whose new voter never comes: given up by its deadline, and by another operator."""
    nowhere = f'127.0.0.1:{cluster.free_port()}'
    tool.bad(FAILED, 'nothing has changed', 'add', 9, nowhere, '--timeout', '0.3')
    outcome = []
    adding = threading.Thread(target=lambda: outcome.append(tool.run('add', 9, nowhere)))
    adding.start()
    cluster.wait_for(lambda: tool.members().get(9, {}).get('is_catching_up'), 'node 9 to be caught up')
    tool.good('abort')
    adding.join()
    assert outcome[0][0] == FAILED and 'aborted' in outcome[0][2], outcome
    assert sorted(tool.members()) == [1, 2, 3]


def check_unknown(tool, c):
    """The leader is alone: what it has begun may or may not be done, and there is no leader in the end."""
    for _ in range(10):
        leader = c.wait_leader()
        others = other_than(c.nodes, leader)
        for node in others:
            node.signal(signal.SIGSTOP)
        code, _out, err = tool.run('demote', others[0].id, '--timeout', '0.2', nodes=[leader])
        if code == UNKNOWN:
            break
        # It stepped down before the order came, or has noticed that they do not answer. Nothing has been done.
        assert code == FAILED and ('no leader was found' in err or cluster.NO_QUORUM in err), err
        for node in others:
            node.signal(signal.SIGCONT)
        tool.good('wait', 'healthy')
    assert code == UNKNOWN and 'whether it has been done is not known: look at \'ringraft members\'' in err, err
    cluster.wait_for(lambda: leader.info()['role'] != 'leader', 'the leader to step down')
    tool.bad(FAILED, 'no leader was found', 'remove', 3, '--timeout', 2, nodes=[leader])
    assert len(json.loads(tool.good('members', '--json', '--timeout', 2, nodes=[leader]))['members']) == 3
    for node in others:
        node.signal(signal.SIGCONT)
    tool.good('wait', 'healthy')
    if tool.members()[others[0].id]['kind'] == 'learner':  # it was done, in the end
        tool.settled('promote', others[0].id)


def check_witness(tool, c, witness):
    """Added through the tool; it votes, and cannot lead."""
    witness.start()
    witness.wait_ready()
    assert tool.settled('add', witness.id, witness.addr, '--witness') == (
        f'node {witness.id} at {witness.addr} is a witness now\n')
    assert tool.members()[witness.id]['kind'] == 'witness'
    tool.good('wait', 'healthy')
    tool.bad(FAILED, 'not a witness', 'transfer', witness.id)
    tool.settled('remove', witness.id)
    witness.kill()


def check_leader_dies(tool, c):
    """The tool finds the next leader, though those that it asks still name the one that has just been killed."""
    leader = c.wait_leader()
    others = other_than(c.nodes, leader)
    leader.kill()
    assert tool.settled('remove', leader.id) == f'node {leader.id} is no longer a member\n'
    assert sorted(tool.members(nodes=others)) == sorted(node.id for node in others)


def test(arguments):
    with cluster.Cluster(arguments.binary) as c:
        c.start()
        tool = Tool(arguments.tool, c.nodes)
        new, witness = cluster.Node(c, 4), cluster.Node(c, 5)
        witness.extra = ['--witness']
        for node in (new, witness):
            node.arguments = lambda node=node: [c.binary, '--id', str(node.id), '--data', node.data, '--listen',
                                                f'{node.host}:{node.port}', '--addr', node.addr, '--join', *node.extra]
        try:
            check_reports(tool, c)
            check_refusals(tool, c)
            check_changes(tool, c, new)
            check_abort(tool)
            check_witness(tool, c, witness)
            check_unknown(tool, c)
            check_leader_dies(tool, c)
        finally:
            for node in (new, witness):
                if node.process is not None:
                    node.kill()


if __name__ == '__main__':
    cluster.run(test, [('--tool', '', 'the tool to test')], limit=120)
