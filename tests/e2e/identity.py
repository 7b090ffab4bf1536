"""A member is its id and its data directory. One that lost it does not count until it is readmitted; copies and
restored backups of it are refused by name; a fixed cluster begins when all its members have been there once; a witness
votes, and has hardly any data. No acknowledged write is lost by any of this."""
# hazards: C17, C19
import os
import shutil
import signal

import cluster
from bootstrap import change
from cli import Tool
from cluster import RedisError, wait_for
from history import Load

EXTRA = ['--deadline-ms', '2000']  # four elections
ERRORS = {'UNKNOWN', 'CLUSTERDOWN', 'BUSY'}  # that a client may see when a node is killed


class Elsewhere(cluster.Node):
    """A node on a given directory, at addresses of its own; its log says who the members are."""

    def __init__(self, c, node_id, data):
        super().__init__(c, node_id)
        self.data = data
        self.log_path = f'{data}.log'

    def arguments(self):
        return [self.cluster.binary, '--id', str(self.id), '--data', self.data, '--listen', f'{self.host}:{self.port}',
                '--addr', self.addr]


def other_than(nodes, *these):
    return [node for node in nodes if node not in these]


def refused(node, text):
    """The node ends by itself, and the last that it says is why."""
    node.start()
    code = node.process.wait(timeout=20)
    node.process = None
    last = node.log().rstrip().rsplit('\n', 1)[-1]
    assert code != 0 and text in last, f'node {node.id} ended with {code}: {last}'


def start_emptied(node):
    shutil.rmtree(node.data)
    node.start()
    node.wait_ready()
    wait_for(lambda: 'does not vote: the cluster has begun without this data directory' in node.log(),
             f'node {node.id} to say why it does not vote')


def readmit(tool, node):
    wait_for(lambda: tool.members()[node.id]['needs_readmission'], f'node {node.id} to be seen as another one')
    assert tool.settled('readmit', node.id) == f'node {node.id} is a member again, with its new data directory\n'
    member = tool.members()[node.id]
    assert not member['needs_readmission'] and member['kind'] == 'voter', member


def refusal_at(node):
    """A write waits for a leader up to --deadline-ms, which is several elections, and is then refused."""
    try:
        with node.client() as client:
            client.command('SET', 'leader', 'none')
    except RedisError as error:
        return error.code
    raise AssertionError('a write was acknowledged by one voter')


def check_no_commits(node):
    wait_for(lambda: refusal_at(node) == 'CLUSTERDOWN', 'a write to be refused for want of a leader')
    term = node.info()['term']
    assert refusal_at(node) == 'CLUSTERDOWN'
    assert node.info()['term'] == term, 'a pre-vote was won without a majority'


def check_emptied(c, tool):
    """The disk of a follower is lost, under load."""
    leader = c.wait_leader()
    emptied, other = other_than(c.nodes, leader)
    with Load(c.nodes, writers=4, pause=0.003) as load:
        load.wait_for_writes(200)
        emptied.kill()
        start_emptied(emptied)
        wait_for(lambda: any(f'node {emptied.id} replies from a different data directory' in node.log()
                             for node in (leader, other)), 'the leader to say that it does not count')
        wait_for(lambda: tool.members()[emptied.id]['needs_readmission'], 'the tool to say so')
        load.wait_for_writes(200)

        other = other_than(c.nodes, emptied, leader := c.wait_leader([leader, other]))[0]
        leader.kill()
        check_no_commits(other)
        assert emptied.info()['last_index'] == '0', emptied.info()
        leader.start()
        c.wait_leader([leader, other])
        load.wait_for_writes(200)

        readmit(tool, emptied)
        other = other_than(c.nodes, emptied, c.wait_leader())[0]
        other.kill()
        load.wait_for_writes(200)  # two of three, and one of them is the emptied one
    load.check(c.wait_leader())
    c.make_leader(emptied, c.running())
    load.check(emptied)
    assert load.errors().keys() <= ERRORS, load.errors()
    other.start()
    other.wait_ready()
    c.wait_caught_up(other)
    print(f'emptied: {load.count("acknowledged")} acknowledged writes, none lost')


def check_works(c, tool, node):
    """All are members and have what is written."""
    tool.good('wait', 'healthy')
    with node.client() as client:
        assert client.command('SET', 'works', 'well') == b'OK'
    goal = int(c.wait_leader().info()['commit_index'])
    wait_for(lambda: int(node.info()['applied_index']) >= goal, f'node {node.id} to apply up to {goal}')


def check_copies(c, tool):
    """Copies of a follower's directory, made while it is stopped, with its original running and at work."""
    original = other_than(c.nodes, c.wait_leader())[0]
    assert original.terminate() == 0
    copy = Elsewhere(c, original.id, os.path.join(c.directory, 'copy'))
    backup = os.path.join(c.directory, 'backup')
    for directory in (copy.data, backup):
        shutil.copytree(original.data, directory)
    original.start()
    original.wait_ready()
    c.wait_caught_up(original)
    refused(copy, f'node {original.id} runs at {original.addr} already, and this one at {copy.addr} would be a copy of '
                  'it')
    check_works(c, tool, original)
    # One of a later start than the original's: copied while that is stopped in the middle of its work.
    original.signal(signal.SIGSTOP)
    later = Elsewhere(c, original.id, os.path.join(c.directory, 'later'))
    shutil.copytree(original.data, later.data)
    original.signal(signal.SIGCONT)
    refused(later, f'node {original.id} runs at {original.addr} already')
    check_works(c, tool, original)

    # The backup takes the place of the original.
    assert original.terminate() == 0
    shutil.rmtree(original.data)
    os.rename(backup, original.data)
    refused(original, 'knows a later start of this data directory')
    assert 'this is a copy or a restored backup; empty the directory, start the node and readmit it' in original.log()
    for _ in range(3):  # also not if it is started again and again
        refused(original, 'has been refused before')
    start_emptied(original)
    readmit(tool, original)
    check_works(c, tool, original)


def check_other_name(c, tool):
    """A node that is started with another name of its own address meets itself, and does not refuse its directory."""
    node = other_than(c.nodes, c.wait_leader())[0]
    assert node.terminate() == 0
    renamed = Elsewhere(c, node.id, node.data)
    renamed.peer_port, renamed.port, renamed.host = node.peer_port, node.port, 'localhost'
    for _ in range(2):
        renamed.start()
        renamed.wait_ready()
        check_works(c, tool, renamed)
        assert renamed.terminate() == 0
    node.start()
    node.wait_ready()
    check_works(c, tool, node)


def check_leader_copied(c, tool):
    """A copy of a leader's directory, made in the middle of its work, is started while the original leads."""
    leader = c.wait_leader()
    copy = Elsewhere(c, leader.id, os.path.join(c.directory, 'copy_of_leader'))
    leader.signal(signal.SIGSTOP)
    shutil.copytree(leader.data, copy.data)
    leader.signal(signal.SIGCONT)
    c.make_leader(leader)  # again, if it has stood still for too long
    term = leader.info()['term']
    refused(copy, f'node {leader.id} runs at {leader.addr} already, and this one at {copy.addr} would be a copy of it')
    assert (leader.info()['role'], leader.info()['term']) == ('leader', term), leader.info()
    check_works(c, tool, leader)


def check_forming(c, tool):
    """Two of three are a majority, but no beginning."""
    first, second, third = c.nodes
    for node in (first, second):
        node.start()
    for node in (first, second):
        node.wait_ready()
        wait_for(lambda node=node: f'waits for node(s) {third.id}: all members of initial_members' in node.log(),
                 f'node {node.id} to say which nodes it waits for')
    check_no_commits(first)
    assert all(n.info()['last_index'] == '0' for n in (first, second)), 'a cluster has begun without its third member'
    third.start()
    third.wait_ready()
    check_works(c, tool, third)


def size_of(directory):
    return sum(os.stat(os.path.join(directory, name)).st_blocks * 512 for name in os.listdir(directory))


def check_witness(arguments):
    with cluster.Cluster(arguments.binary, growing=True, extra=EXTRA) as c:
        first, second, witness = c.nodes
        witness.extra = [*EXTRA, '--witness']
        for node in c.nodes:
            node.start()
        for node in c.nodes:
            node.wait_ready()
        c.wait_leader([first])
        change(first, 'ADD', second.id, second.addr)
        change(first, 'ADD', witness.id, witness.addr, 'WITNESS')
        tool = Tool(arguments.tool, c.nodes)
        assert [tool.members()[n.id]['kind'] for n in c.nodes] == ['voter', 'voter', 'witness']
        with Load([first, second], writers=4, pause=0.003) as load:
            with first.client() as client:
                for i in range(arguments.megabytes * 10):
                    assert client.command('SET', f'large{i}', 'x' * 100_000) == b'OK'
            c.wait_caught_up(second)
            c.wait_caught_up(witness)
            sizes = {n.id: size_of(n.data) for n in c.nodes}
            assert 5 * sizes[witness.id] < min(sizes[first.id], sizes[second.id]), sizes

            # Each voter goes on with the witness alone.
            for down, up in ((first, second), (second, first)):
                down.kill()
                load.use([up])
                assert c.wait_leader([up, witness]) is up
                load.wait_for_writes(200)
                down.start()
                down.wait_ready()
                c.wait_leader()
                c.wait_caught_up(down)
        load.check(c.wait_leader())
        assert load.errors().keys() <= ERRORS, load.errors()
        for node in (first, second):
            node.kill()
        for _ in range(2):  # each waits for a leader as long as several elections take
            refusal_at(witness)
        assert witness.info()['role'] == 'follower' and f'node {witness.id}: leads term' not in witness.log()
        assert f'node {second.id}: leads term' in second.log()

        assert witness.terminate() == 0
        witness.extra = EXTRA
        refused(witness, f'data directory {witness.data} is that of a witness')
        witness.extra = [*EXTRA, '--witness']
        for node in c.nodes:
            node.start()
        for node in c.nodes:
            node.wait_ready()
        check_works(c, tool, witness)
        print(f'witness: {load.count("acknowledged")} acknowledged writes, none lost; bytes on disk: {sizes}')


def test(arguments):
    with cluster.Cluster(arguments.binary, extra=EXTRA) as c:
        tool = Tool(arguments.tool, c.nodes)
        check_forming(c, tool)
        check_emptied(c, tool)
        check_other_name(c, tool)
        check_copies(c, tool)
        check_leader_copied(c, tool)
    check_witness(arguments)


if __name__ == '__main__':
    cluster.run(test, [('--tool', '', 'the tool to test'), ('--megabytes', 20, 'written before a voter is killed')],
                limit=150)
