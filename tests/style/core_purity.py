#!/usr/bin/env python3
"""src/core is the protocol and nothing else: no I/O, clock, thread, randomness, coroutine, KJ, LMDB or io_uring in it.

Usage: core_purity.py SOURCE_ROOT            fails with a list of offences
       core_purity.py --self-test            shows that each rule catches something
"""
# hazards: G16

import pathlib
import re
import sys

# What a file of src/core may include, besides the standard headers below.
ALLOWED_INCLUDES = re.compile(
    r'^(core/\w+\.h|base/\w+\.h|ringraft/(types|bytes|errc|batch|config_change|log|rpc|status|storage|options)\.h)$')
ALLOWED_STANDARD = set(
    'algorithm array bit chrono compare cstddef cstdint cstring deque functional limits map memory numeric optional '
    'set span string string_view tuple type_traits utility variant vector'.split())
FORBIDDEN = {
    'a clock': r'(steady|system|high_resolution)_clock\s*::\s*now|\bClock\s*::\s*now|\b(clock_)?gettime\w*\s*\('
               r'|(?<![\w.>])time\s*\(|\bclock\s*\(',
    'randomness': r'(?<![\w.>])s?rand(om)?\s*\(|\brandom_device\b|\bmt19937|\buniform_\w+_distribution|\bdrand48'
                  r'|\bgetrandom|\bgetentropy',
    'a coroutine': r'\bco_(await|return|yield)\b|\bcoroutine_handle\b|\bTask\s*<|\bScope\b',
    'a thread or lock': r'\bstd\s*::\s*(jthread|thread|mutex|shared_mutex|atomic\w*|condition_variable|async|future'
                        r'|promise)\b|\bthread_local\b|\bsleep',
    'I/O': r'(?<![\w.>:])(::\s*)?'
           r'(open|close|read|write|pread|pwrite|fsync|fdatasync|socket|send|recv|poll|ioctl|mmap)\s*\(|'
           r'\bstd\s*::\s*(cout|cerr|clog|cin|[io]?fstream|filesystem)\b|\bf?printf\s*\(|\bgetenv\s*\(',
    'KJ, LMDB or io_uring': r'\b(kj|capnp)\s*::|\bmdb_\w+|\bMDB_\w+|\bio_uring\w*',
    'an unordered container': r'\bunordered_\w+',
}


def strip(text):
    """Blanks out comments and literals, and keeps the lines."""
    def blank(match):
        return re.sub(r'[^\n]', ' ', match.group(0))
    return re.sub(r'//[^\n]*|/\*.*?\*/|"(\\.|[^"\\\n])*"|\'(\\.|[^\'\\\n])+\'(?![\w])', blank, text, flags=re.S)


def offences(name, text):
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        include = re.match(r'\s*#\s*include\s*(?:<([^>]+)>|"([^"]+)")', line)
        if not include:
            continue
        standard, own = include.groups()
        if standard is not None and standard not in ALLOWED_STANDARD:
            found.append(f'{name}:{number}: <{standard}> is not among the headers that src/core may include')
        if own is not None and not ALLOWED_INCLUDES.match(own):
            found.append(f'{name}:{number}: "{own}" is not among the headers that src/core may include')
    for number, line in enumerate(strip(text).splitlines(), 1):
        if line.lstrip().startswith('#'):
            continue
        for what, pattern in FORBIDDEN.items():
            if re.search(pattern, line):
                found.append(f'{name}:{number}: {what} in src/core: {line.strip()}')
    return found


def self_test():
    bad = [
        '#include <thread>', '#include <mutex>', '#include <coroutine>', '#include <kj/async.h>',
        '#include <capnp/rpc.h>', '#include <lmdb.h>', '#include <liburing.h>', '#include <random>',
        '#include "coro/loop.h"', '#include "ringraft/raft.h"', 'auto t = std::chrono::steady_clock::now();',
        'auto t = Clock::now();', 'time(nullptr);', 'int r = rand();', 'co_await x;', '::write(fd, p, n);',
        'read(fd, p, n);', 'open("x", 0);', 'std::mutex m;', 'kj::Promise<void> p;', 'mdb_txn_commit(t);',
        'std::unordered_map<int, int> m;', 'Task<void> F();', 'std::cout << 1;',
    ]
    good = [
        '#include <vector>', '#include "core/core.h"', '// co_await, time(now)', 'message("read(fd)");',
        'OnRead(peer);', 'log.read(x);', 'RandomTimeout();', 's.now = now;', 'core.NextWrite();', 'uint64_t z = 1;',
    ]
    wrong = [line for line in bad if not offences('bad', line)]
    wrong += [line for line in good if offences('good', line)]
    for line in wrong:
        print('judged wrongly:', line)
    return 1 if wrong else 0


def main():
    if sys.argv[1:] == ['--self-test']:
        return self_test()
    root = pathlib.Path(sys.argv[1])
    files = sorted(path for path in (root / 'src' / 'core').iterdir() if path.suffix in ('.h', '.cc'))
    if not files:
        print(f'{root}/src/core has no sources')
        return 1
    found = [offence for path in files for offence in offences(str(path.relative_to(root)), path.read_text())]
    print('\n'.join(found) if found else f'{len(files)} files of src/core are pure')
    return 1 if found else 0


if __name__ == '__main__':
    sys.exit(main())
