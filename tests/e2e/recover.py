"""Two of three seem to be lost forever. `ringraft recover` shows what it would mean to go on without them, does
so when it is told to, and loses nothing that its node had. The two, which come back after all, are refused by name, do
not disturb it, and are members again once they are empty."""
# hazards: C17
import os
import shutil

import cluster
from bootstrap import change
from cli import Tool
from cluster import wait_for
from history import Load

REFUSED, USAGE = 1, 2


def write(node, key, value):
    with node.client() as client:
        assert client.command('SET', key, value) == b'OK'


def shows(tool, kept, lost, last_index):
    text = tool.good('recover', kept.data, env={'RINGRAFT_NODES': kept.addr})  # which says nothing here
    for words in (f'ends at index {last_index} of term', f'makes node {kept.id} the only member, in generation 2',
                  f'the other members ({lost[0].id}, {lost[1].id}) are refused',
                  'The log and the members have not been changed'):
        assert words in text, f'{words}: {text}'
    print(text)


def refusals(tool, kept, directory):
    """Anything but a data directory of a member is left alone."""
    tool.bad(REFUSED, 'not a data directory of a node', 'recover', kept.data + 'x')
    foreign = os.path.join(directory, 'foreign')
    os.mkdir(foreign)
    for names in ([], ['notes.txt']):
        for name in names:
            with open(os.path.join(foreign, name), 'w') as file:
                file.write('mine')
        for confirmed in ([], ['--yes']):
            tool.bad(REFUSED, 'it has no ringraft.mdb', 'recover', foreign, *confirmed)
            assert os.listdir(foreign) == names, os.listdir(foreign)
    # It was killed: an unfinished commit in its redo file tells its group at once. Looking completes that commit.
    err = tool.bad(REFUSED, 'group 7', 'recover', kept.data, '--group', 7)
    assert 'has an unfinished commit of group 1' in err or 'holds no member of group 7' in err, err
    tool.good('recover', kept.data)
    tool.bad(REFUSED, 'holds no member of group 7: name its group with --group', 'recover', kept.data, '--group',
             7)
    tool.bad(REFUSED, '--max-bytes', 'recover', kept.data, '--max-bytes', 1)
    tool.bad(USAGE, 'recover does not take --timeout', 'recover', kept.data, '--timeout', 5)
    tool.bad(USAGE, 'recover does not take --node', 'recover', kept.data, '--node', kept.addr)


def old_ones_return(kept, lost):
    """With their data: a majority of the old generation, but of no cluster here."""
    term = kept.info()['term']
    for node in lost:
        node.start()
    for node in lost:
        node.wait_ready()
    wait_for(lambda: 'has cluster generation 1, this node has 2: the cluster was recovered from a lost quorum '
             'without that node' in kept.log(), 'the recovered node to say which node it refuses')
    wait_for(lambda: any('without this node; stop this one, empty its data directory' in node.log() for node in lost),
             'an old node to say why it is refused')
    write(kept, 'after', 'recovery')
    assert (kept.info()['role'], kept.info()['term']) == ('leader', term), kept.info()
    for node in lost:
        node.kill()


def test(arguments):
    with cluster.Cluster(arguments.binary, growing=True) as c:
        kept, *lost = c.nodes
        for node in c.nodes:
            node.start()
        for node in c.nodes:
            node.wait_ready()
        c.wait_leader([kept])
        for node in lost:
            change(kept, 'ADD', node.id, node.addr)
        tool = Tool(arguments.tool, c.nodes)
        with Load(c.nodes, writers=4, pause=0.003) as load:
            load.wait_for_writes(arguments.writes)
            tool.bad(REFUSED, 'is in use by process', 'recover', kept.data, '--yes')
        if kept is not c.wait_leader():
            c.wait_caught_up(kept)
        last_index = kept.info()['last_index']
        for node in c.nodes:
            node.kill()

        refusals(tool, kept, c.directory)
        for _ in range(2):
            shows(tool, kept, lost, last_index)
        print(tool.good('recover', kept.data, '--yes'))
        tool.bad(REFUSED, 'is the only member already, in generation 2', 'recover', kept.data, '--yes')

        kept.start()
        kept.wait_ready()
        assert c.wait_leader([kept]) is kept
        load.check(kept)
        old_ones_return(kept, lost)
        load.check(kept)

        tool = Tool(arguments.tool, [kept])
        for node in lost:
            shutil.rmtree(node.data)
            node.start()
            node.wait_ready()
            tool.settled('add', node.id, node.addr)
        tool.good('wait', 'healthy')
        c.make_leader(lost[0])
        load.check(lost[0])
        print(f'{load.count("acknowledged")} acknowledged writes, none lost')


cluster.run(test, [('--tool', '', 'the tool to test'), ('--writes', 500, 'before the loss')], limit=120)
