"""Histories that no linearizable service could have given, each made of a recorded one by one change. They prove that
the checker sees what the clients of recorder.py saw.

Each forgery takes the lines of a History and returns others; it raises LookupError if there is nothing to forge.
"""
import collections

NULL, OK = b'$-1\r\n', b'+OK\r\n'


def bulk(text):
    return b'$%d\r\n%s\r\n' % (len(text), text)


def replaced(lines, place, **fields):
    client, invoked, returned, command, answer = lines[place]
    old = {'client': client, 'invoked': invoked, 'returned': returned, 'command': command, 'answer': answer}
    return lines[:place] + [tuple({**old, **fields}.values())] + lines[place + 1:]


def find(lines, is_wanted):
    """The place of the last line with an answer that is wanted."""
    for place in range(len(lines) - 1, -1, -1):
        if lines[place][4] is not None and is_wanted(lines[place][3].decode().split(' '), lines[place][4]):
            return place
    raise LookupError('the history has no operation to forge')


def a_value_that_nobody_wrote(lines):
    place = find(lines, lambda words, answer: words[0] == 'GET' and words[1][0] == 't' and answer != NULL)
    return replaced(lines, place, answer=bulk(b'unwritten'))


def a_lost_key(lines):
    """Lists are only appended to."""
    place = find(lines, lambda words, answer: words[0] == 'GET' and words[1][0] == 'l' and answer != NULL)
    return replaced(lines, place, answer=NULL)


def a_lost_append(lines):
    place = find(lines, lambda words, answer: words[0] == 'GET' and answer.count(b',') > 1)
    value = lines[place][4].split(b'\r\n')[1]
    return replaced(lines, place, answer=bulk(value[:value.rindex(b',', 0, -1) + 1]))


def an_increment_told_twice(lines):
    """The same sum for two additions to one counter. Those of 2 and more keep it from being told by chance."""
    by_key = collections.defaultdict(list)
    for place, (_, _, _, command, answer) in enumerate(lines):
        words = command.decode().split(' ')
        if words[0] == 'INCRBY' and answer is not None:
            by_key[words[1]].append(place)
    for places in by_key.values():
        for first, second in zip(places, places[1:]):
            if lines[first][2] < lines[second][1] and lines[first][4] != lines[second][4]:
                return replaced(lines, second, answer=lines[first][4])
    raise LookupError('no counter was added to twice, one after the other')


def a_read_from_the_future(lines):
    """The reader had its reply before the append in it was requested."""
    place = find(lines, lambda words, answer: words[0] == 'GET' and words[1][0] == 'l' and answer != NULL)
    last = lines[place][4].split(b',')[-2].split(b'\n')[-1] + b','
    written = next(line[1] for line in lines if line[3].startswith(b'APPEND') and line[3].endswith(b' ' + last))
    return replaced(lines, place, client=max(line[0] for line in lines) + 1, invoked=written - 2, returned=written - 1)


def a_refusal_that_was_executed(lines):
    """A write that the recorder leaves out, as one that was answered 'certainly not executed', and that others read."""
    place = find(lines, lambda words, answer: words[0] == 'APPEND')
    key, value = lines[place][3].split(b' ')[1:]
    if not any(line[3] == b'GET ' + key and value in (line[4] or b'') for line in lines):
        raise LookupError('the last append was never read')
    return lines[:place] + lines[place + 1:]


ALL = (a_value_that_nobody_wrote, a_lost_key, a_lost_append, an_increment_told_twice, a_read_from_the_future,
       a_refusal_that_was_executed)
